"""The `.env` file beside docker-compose.yml: what Compose reads when the shell says nothing."""

import os
import re
import shutil

from cli.console import ROOT

PATH = ROOT / ".env"
_LINE = re.compile(r"^[ \t]*(?:export[ \t]+)?([A-Za-z_]\w*)[ \t]*=(.*)$", re.MULTILINE)
_NAME = re.compile(r"^\s*(?:export\s+)?([A-Za-z_]\w*)\s*=", re.MULTILINE)


def names():
    """The variables that the file sets."""
    return set(_NAME.findall(_read()))


def values():
    """What the file sets, for targets without Compose: NAME=value lines, quotes taken off."""
    return {name: _unquoted(value.strip()) for name, value in _LINE.findall(_read())}


def _unquoted(value):
    quoted = re.match(r"""(["'])(.*?)\1\s*(#.*)?$""", value)
    return quoted[2] if quoted else re.sub(r"\s+#.*", "", value)


def set_value(name, value):
    """Set one line of the file and leave every other byte; False if several lines set it already."""
    old = _read()
    if len([found for found in _NAME.findall(old) if found == name]) > 1:
        return False
    new = set_line(old, name, value)
    if new != old:
        _replace(new)
    return True


def set_line(text, name, value):
    """The text with `name=value` in place of its old line, or at the end."""
    line = re.compile(rf"^([ \t]*(?:export[ \t]+)?{name}[ \t]*=).*$", re.MULTILINE)
    if line.search(text):
        return line.sub(lambda match: f"{match[1]}{value}", text)
    return f"{text}{'' if text.endswith(chr(10)) or not text else chr(10)}{name}={value}\n"


def _read():
    return PATH.read_text() if PATH.is_file() else ""


def _replace(text):
    """Write beside the file, then rename: a full disk or a power cut leaves the old one."""
    target = PATH.resolve()  # a link stays a link
    beside = target.with_name(f"{target.name}.new")
    beside.touch(mode=0o600)
    beside.write_text(text)
    if target.exists():
        shutil.copymode(target, beside)
        os.chown(beside, target.stat().st_uid, target.stat().st_gid)
    beside.replace(target)
