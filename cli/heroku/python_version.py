"""The Python version that the platform installs.

It comes from the first of runtime.txt, .python-version and Pipfile.lock that exists, or is the platform's default.
"""

import re
from pathlib import Path

from cli.heroku import pipfile
from deploy.errors import StackError

OLDEST, NEWEST = 10, 14  # minor versions of Python 3, in buildpack v351
DEFAULT = f"3.{NEWEST}"
MISSPELLED = (
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
    """(version, its file). Raise StackError for the reasons of the buildpack."""
    version, origin = _declared(folder)
    major, minor = map(int, version.split(".")[:2])
    if (major, minor) < (3, OLDEST):
        raise StackError(
            "The requested Python version has reached end-of-life.",
            f"{origin} requests {version}; the platform supports 3.{OLDEST} to 3.{NEWEST}.",
            _fix(folder),
        )
    if (major, minor) > (3, NEWEST):
        raise StackError(
            "The requested Python version isn't recognised.",
            f"{origin} requests {version}; the platform supports 3.{OLDEST} to 3.{NEWEST}.",
            _fix(folder),
        )
    return version, origin


def _declared(folder: Path) -> tuple[str, str]:
    if (folder / "runtime.txt").is_file():
        return _of_runtime_txt(folder), "runtime.txt"
    for name in MISSPELLED:
        if (folder / name).is_file():
            raise StackError(
                "Your .python-version file is spelled incorrectly.",
                f"It is called '{name}', so the platform ignores it.",
                f"git mv '{name}' .python-version",
            )
    if (folder / ".python-version").is_file():
        return _of_python_version_file(folder), ".python-version"
    version = pipfile.required_python(folder) if (folder / "Pipfile.lock").is_file() else ""
    if version and not _VERSION.fullmatch(version):
        raise StackError(
            "Invalid Python version in Pipfile.lock.",
            f"It requests {version!r}, but only X.Y and X.Y.Z are valid, without wildcards.",
            "./stack lock   (after correcting python_version in the section [requires] of the Pipfile)",
        )
    return (version, "Pipfile.lock") if version else (DEFAULT, "the platform's default")


def _of_runtime_txt(folder: Path) -> str:
    lines = _lines((folder / "runtime.txt").read_text(encoding="utf-8", errors="replace"))
    version = "\n".join(lines).removeprefix("python-")
    if not lines or not lines[0].startswith("python-") or not _VERSION.fullmatch(version):
        raise StackError(
            "Invalid Python version in runtime.txt.",
            "The file is deprecated, but takes precedence over .python-version.",
            "git rm runtime.txt",
        )
    return version


def _of_python_version_file(folder: Path) -> str:
    content = (folder / ".python-version").read_bytes()
    if content.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        raise StackError(
            "Unable to read .python-version.",
            "It starts with a byte order mark; it must be UTF-8 without one.",
            _fix(folder),
        )
    lines = _lines(content.decode(errors="replace"))
    for line in lines:
        if not _VERSION.fullmatch(line):
            raise StackError(
                "Invalid Python version in .python-version.",
                f"It contains {line!r}, but only X.Y and X.Y.Z are valid.",
                _fix(folder),
            )
    if len(lines) != 1:
        error = "Multiple Python versions found" if lines else "No Python version found"
        raise StackError(f"{error} in .python-version.", "The platform installs exactly one version.", _fix(folder))
    return lines[0]


def _lines(text: str) -> list[str]:
    """The lines, stripped, without empty lines and comments."""
    return [line for line in map(str.strip, text.splitlines()) if line and not line.startswith("#")]


def _fix(folder: Path) -> str:
    """The fix: the version of the lock file, or the platform's default."""
    try:
        version = pipfile.required_python(folder)
    except (OSError, ValueError):
        version = ""
    return f"echo {version if _VERSION.fullmatch(version) else DEFAULT} > .python-version"
