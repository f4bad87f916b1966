"""The file `.env` beside docker-compose.yml, from which Compose takes settings that the shell does not set."""

import os
import re
import shutil

from cli.console import ROOT
from deploy.errors import EXIT_CONFIG, StackError, StackErrors

PATH = ROOT / ".env"
_ASSIGNMENT = r"^\ufeff?[ \t]*(?:export[ \t]+)?([A-Za-z_]\w*)[ \t]*="
_NAME = re.compile(_ASSIGNMENT, re.MULTILINE)
_VARIABLE = re.compile(r"\$(?:(?=\w)|\{(?=\w+\}))([A-Za-z_]\w*)")  # not ${NAME:-default}
_LINE = re.compile(_ASSIGNMENT + r"(.*)$", re.MULTILINE)


def names():
    """Return the names of the variables that the file sets."""
    return set(_NAME.findall(_read()))


def values():
    """Return the variables that the file sets, for targets without Compose. Quotes and comments are removed."""
    return {name: _unquote(value.strip()) for name, value in _LINE.findall(_read())}


def require_known_variables(environ):
    """Raise StackErrors if Compose would replace a `$NAME` in a value by nothing, as in a password that contains a $.

    https://docs.docker.com/compose/how-tos/environment-variables/variable-interpolation/
    """
    known, errors = {*environ, *names()}, []
    for number, line in enumerate(_read().splitlines(), start=1):
        if not (match := _LINE.match(line)) or match[2].strip().startswith("'"):
            continue
        value = re.sub(r"\s#.*", "", match[2]) if match[2].strip()[:1] != '"' else match[2]
        for name in _VARIABLE.findall(value.replace("$$", "").replace("\\$", "")):
            if name not in known:
                errors.append(
                    StackError(
                        f"{match[1]}: the value in line {number} of .env contains a $ that begins a variable's name.",
                        "Compose replaces it by the value of that variable, which is not set: the value would differ "
                        "from what .env says.",
                        f"enclose the value of {match[1]} in single quotes, or write $$ for each $",
                        EXIT_CONFIG,
                    )
                )
                break
    if errors:
        raise StackErrors(errors)


def _unquote(value):
    quoted = re.match(r"""(["'])(.*?)\1\s*(#.*)?$""", value)
    return quoted[2] if quoted else re.sub(r"\s+#.*", "", value)


def set_value(name, value):
    """Set a variable in the file and change nothing else. Return False if several lines set it already."""
    old = _read()
    if _NAME.findall(old).count(name) > 1:
        return False
    new = set_line(old, name, value)
    if new != old:
        _replace(new)
    return True


def set_line(text, name, value):
    """Return the text with the line `name=value`, in place of the old line or at the end."""
    line = re.compile(rf"^(\ufeff?[ \t]*(?:export[ \t]+)?{name}[ \t]*=)[^\r\n]*", re.MULTILINE)
    if line.search(text):
        return line.sub(lambda match: f"{match[1]}{value}", text)
    return f"{text}{'' if text.endswith(chr(10)) or not text else chr(10)}{name}={value}\n"


# surrogateescape and newline="" keep every byte of the file: another encoding, Windows line ends.


def _read():
    if not PATH.is_file():
        return ""
    with PATH.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        return file.read()


def _replace(text):
    """Replace the file by renaming a new one, so that a full disk or a power cut leaves the old one intact."""
    target = PATH.resolve()  # a symbolic link is kept
    new = target.with_name(f"{target.name}.new")
    new.touch(mode=0o600)
    new.write_text(text, encoding="utf-8", errors="surrogateescape", newline="")
    if target.exists():
        shutil.copymode(target, new)
        os.chown(new, target.stat().st_uid, target.stat().st_gid)
    new.replace(target)
