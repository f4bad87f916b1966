"""Which Python the platform takes: runtime.txt, then .python-version, then Pipfile.lock, then its own default."""

import re
from pathlib import Path

from cli.heroku import pipfile
from deploy.errors import StackError

OLDEST, NEWEST = 10, 14  # minor versions of Python 3, in buildpack v351
DEFAULT = f"3.{NEWEST}"
MISSPELT = (
    "python-version",
    ".python_version",
    ".pythonversion",
    ".python-version.txt",
    "python-version.txt",
    "python_version.txt",
    ".Python-version",
    ".python.version",
    "python_version",
    ".python-version ",
)

_VERSION = re.compile(r"(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*))?")


def requested(folder: Path) -> tuple[str, str]:
    """(version, the file it comes from). Raises StackError, for the buildpack's reasons."""
    version, origin = _asked_for(folder)
    major, minor = map(int, version.split(".")[:2])
    if (major, minor) < (3, OLDEST):
        raise StackError(
            "The requested Python version has reached end-of-life.",
            f"{origin} asks for {version}; the platform has 3.{OLDEST} to 3.{NEWEST}.",
            _write(folder),
        )
    if (major, minor) > (3, NEWEST):
        raise StackError(
            "The requested Python version isn't recognised.",
            f"{origin} asks for {version}; the platform has 3.{OLDEST} to 3.{NEWEST}.",
            _write(folder),
        )
    return version, origin


def _asked_for(folder: Path) -> tuple[str, str]:
    if (folder / "runtime.txt").is_file():
        return _of_runtime_txt(folder), "runtime.txt"
    for name in MISSPELT:
        if (folder / name).is_file():
            raise StackError(
                "Your .python-version file is spelled incorrectly.",
                f"It is called '{name}', and so nobody reads it.",
                f"git mv '{name}' .python-version",
            )
    if (folder / ".python-version").is_file():
        return _of_python_version_file(folder), ".python-version"
    version = pipfile.required_python(folder) if (folder / "Pipfile.lock").is_file() else ""
    if version and not _VERSION.fullmatch(version):
        raise StackError(
            "Invalid Python version in Pipfile.lock.",
            f"It asks for {version!r}; only X.Y and X.Y.Z are understood, no wildcard.",
            "set python_version in the Pipfile's [requires], then: ./stack lock",
        )
    return (version, "Pipfile.lock") if version else (DEFAULT, "the platform's default")


def _of_runtime_txt(folder: Path) -> str:
    lines = _lines((folder / "runtime.txt").read_text(encoding="utf-8", errors="replace"))
    version = "\n".join(lines).removeprefix("python-")
    if not lines or not lines[0].startswith("python-") or not _VERSION.fullmatch(version):
        raise StackError(
            "Invalid Python version in runtime.txt.",
            "The file is deprecated, and yet it wins over .python-version.",
            "git rm runtime.txt",
        )
    return version


def _of_python_version_file(folder: Path) -> str:
    content = (folder / ".python-version").read_bytes()
    if content.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        raise StackError(
            "Unable to read .python-version.",
            "It begins with a byte order mark; only UTF-8 without one is understood.",
            _write(folder),
        )
    lines = _lines(content.decode(errors="replace"))
    for line in lines:
        if not _VERSION.fullmatch(line):
            raise StackError(
                "Invalid Python version in .python-version.",
                f"It says {line!r}; only X.Y and X.Y.Z are understood.",
                _write(folder),
            )
    if len(lines) != 1:
        what = "Multiple Python versions found" if lines else "No Python version found"
        raise StackError(f"{what} in .python-version.", "The platform installs exactly one.", _write(folder))
    return lines[0]


def _lines(text: str) -> list[str]:
    """Without white space around them, empty ones and comments."""
    return [line for line in map(str.strip, text.splitlines()) if line and not line.startswith("#")]


def _write(folder: Path) -> str:
    """What to type: the version that the lock was made for, where there is one."""
    try:
        version = pipfile.required_python(folder)
    except (OSError, ValueError):
        version = ""
    return f"echo {version if _VERSION.fullmatch(version) else DEFAULT} > .python-version"
