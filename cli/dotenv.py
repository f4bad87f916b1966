"""The file `.env` beside docker-compose.yml, from which Compose takes settings that the shell does not set.

./stack must read every line as Compose does, on hosts without Compose too. This is Compose's own parser, in Python: no
library reads its grammar. tests/unit/cli/test_dotenv.py compares the two.
https://github.com/compose-spec/compose-go/tree/main/dotenv and template
"""

import os
import re
import shutil
import unicodedata
from dataclasses import dataclass

from cli.console import ROOT
from deploy.errors import EXIT_CONFIG, StackError, StackErrors

PATH = ROOT / ".env"

_NAME = re.compile(r"^\ufeff?[ \t]*(?:export[ \t]+)?([A-Za-z_]\w*)[ \t]*=", re.MULTILINE)
_SPACE = "\t\v\f\r \x85\xa0"  # ends no line
_ANY_SPACE = f"\n{_SPACE}\u1680{''.join(map(chr, range(0x2000, 0x200B)))}\u2028\u2029\u202f\u205f\u3000"
_ESCAPE = re.compile(r'\\(?:[abcfnrtv$"\\]|0\d{0,3})', re.ASCII)
_ESCAPED = dict(zip('abfnrtv"\\', '\a\b\f\n\r\t\v"\\', strict=True))
_VARIABLE = re.compile(r"\$(?:(\$)|([_a-z][_a-z0-9]*)|\{(?:([_a-z][_a-z0-9]*(?::?[-+?].*)?)\}|()))", re.IGNORECASE)
_OPERATOR = re.compile(r"(:?)([-+?])")


@dataclass(frozen=True)
class Assignment:
    """One `NAME=value`: its first line, and the variables in its value that are not set."""

    name: str
    value: str
    line: int
    unset: tuple


class _Invalid(Exception):
    """Why Compose refuses the file. The text shows no part of a value, which may be a password."""


def names():
    """Return the names of the variables that the file sets."""
    return {assignment.name for assignment in assignments(_read())}


def values(environ=os.environ):
    """Return the variables that the file sets. A `$NAME` in a value is replaced from the shell, then from the file."""
    return {assignment.name: assignment.value for assignment in assignments(_read(), environ)}


def require_known_variables(environ):
    """Raise StackErrors if Compose would replace a `$NAME` in a value by nothing, as in a password that contains a $.

    https://docs.docker.com/compose/how-tos/environment-variables/variable-interpolation/
    """
    errors = [
        StackError(
            f"{assignment.name}: the value in line {assignment.line} of .env contains a $ that begins a variable's "
            "name.",
            "Compose replaces it by the value of that variable, which is not set: the value would differ from what "
            ".env says.",
            f"enclose the value of {assignment.name} in single quotes, or write $$ for each $",
            EXIT_CONFIG,
        )
        for assignment in assignments(_read(), environ)
        if assignment.unset
    ]
    if errors:
        raise StackErrors(errors)


def assignments(text, environ=os.environ):
    """Return the Assignments of the text of a `.env` file. Raise StackError if Compose would refuse the file."""
    text, found, known, line = text.removeprefix("\ufeff"), [], {}, 1
    rest = text
    try:
        while rest := _skip_comments(rest):
            line = 1 + text[: len(text) - len(rest)].count("\n")
            name, rest, is_inherited = _split_name(rest)
            unset = []
            if is_inherited:  # `NAME` alone takes the value of the shell
                value = environ.get(name)
            else:
                value, rest = _split_value(rest, {**known, **environ}, unset)
            if not name and not is_inherited:
                raise _Invalid("A value has no name, or the last line has no =")
            if name and value is not None:
                known[name] = value
                found.append(Assignment(name, value, line, tuple(unset)))
    except _Invalid as error:
        raise StackError(
            f"Line {line} of .env cannot be read.", f"{error}.", "correct this line of .env", EXIT_CONFIG
        ) from None
    return found


def _skip_comments(text):
    """Return the text from the next assignment on."""
    while (text := text.lstrip(_ANY_SPACE)).startswith("#"):
        text = text.partition("\n")[2]
    return text


def _split_name(text):
    """Return the name at the start of the text, what follows it, and whether it stands alone in its line."""
    if re.match(r"export[\t\n\f\r ]+", text):
        text = text.removeprefix("export").lstrip(_SPACE)
    for position, character in enumerate(text):
        if character in "=:\n":
            name = text[:position].rstrip(_ANY_SPACE)
            if " " in name:
                raise _Invalid("The name of a variable contains a space")
            return name, text[position + 1 :].lstrip(_SPACE), character == "\n"
        if character not in f"{_SPACE}_.-[]" and unicodedata.category(character)[0] not in "LN":
            raise _Invalid("The name of a variable contains a character other than letters, digits and _ . - [ ]")
    return "", text, False


def _split_value(text, variables, unset):
    """Return the value at the start of the text, and what follows it."""
    quote = text[:1]
    if quote not in ("'", '"'):
        value, _, rest = text.partition("\n")
        return _substitute(value.partition(" #")[0].rstrip(_ANY_SPACE), variables, unset), rest
    if not (match := re.match(rf"{quote}((?:\\.|[^\\{quote}])*){quote}", text, re.DOTALL)):
        raise _Invalid(f"A value begins with {quote} and has none at its end")
    value = match[1].replace(f"\\{quote}", quote)
    if quote == '"':
        value = _substitute(_ESCAPE.sub(_unescape, value), variables, unset)
    return value, text[match.end() :]


def _unescape(match):
    escape = match[0][1:]
    if escape == "$":
        return "$$"  # which _substitute replaces
    if escape[0] == "0":
        octal = escape[1:]
        is_byte = re.fullmatch(r"[0-3][0-7][0-7]", octal)
        return chr(int(octal, 8)) if is_byte else f"\\{octal}"
    return _ESCAPED.get(escape, match[0])


def _substitute(template, variables, unset):
    """Replace `$NAME`, `${NAME}` and `${NAME:-default}` in a value. Names of unset variables are added to `unset`."""

    def replace(match):
        escaped, plain, braced, invalid = match.groups()
        if escaped or invalid is not None:
            if not escaped:
                raise _Invalid("A ${ has no name of a variable and } behind it")
            return "$"
        if plain or not _OPERATOR.search(braced):
            return look_up(plain or braced)
        # The pattern matches up to the last } of the line.
        end = _closing_brace(match[0])
        return substitute_braced(match[0][2:end]) + _substitute(match[0][end + 1 :], variables, unset)

    def look_up(name):
        if name not in variables:
            unset.append(name)
        return variables.get(name, "")

    def substitute_braced(text):
        operator = _OPERATOR.search(text)
        name, word = text[: operator.start()], text[operator.end() :]
        is_set = bool(variables.get(name)) if operator[1] else name in variables
        if operator[2] == "+":
            return _substitute(word, variables, unset) if is_set else variables.get(name, "")
        if is_set:
            return variables[name]
        if operator[2] == "?":
            raise _Invalid(f"The variable {name}, which a value requires, is not set")
        return _substitute(word, variables, unset)

    return _VARIABLE.sub(replace, template)


def _closing_brace(text):
    """Return the position of the } that closes the first {."""
    depth = 0
    for position, character in enumerate(text):
        depth += {"{": 1, "}": -1}.get(character, 0)
        if character == "}" and depth == 0:
            return position
    raise _Invalid("A ${ is not closed by a }")


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
