"""Read Pipfile and Pipfile.lock without pipenv.

Python 3.10 has no TOML parser, so the Pipfile is read line by line, which is enough for names and versions.
"""

import json
import re
from pathlib import Path
from typing import Any

_SECTION = re.compile(r"\[([\w-]+)\]")
_ENTRY = re.compile(r"[\"']?([A-Za-z0-9._-]+)[\"']?\s*=\s*(.*)")


def sections(text: str) -> dict[str, dict[str, str]]:
    """Section → name → the unparsed value."""
    parsed: dict[str, dict[str, str]] = {}
    current = parsed.setdefault("", {})
    for line in map(str.strip, text.splitlines()):
        if section := _SECTION.match(line):
            current = parsed.setdefault(section[1], {})
        elif entry := _ENTRY.match(line):
            current[entry[1]] = entry[2]
    return parsed


def read_lock(folder: Path) -> dict[str, Any]:
    """The content of the lock file. Raise ValueError if it is not a JSON object."""
    lock = json.loads((folder / "Pipfile.lock").read_text(encoding="utf-8"))
    if not isinstance(lock, dict):
        raise ValueError("it is not a JSON object")
    return lock


def not_locked(folder: Path) -> list[str]:
    """The packages of the Pipfile that are missing from the lock file."""
    wanted, lock = sections((folder / "Pipfile").read_text(encoding="utf-8")), read_lock(folder)
    missing = []
    for section, key in (("packages", "default"), ("dev-packages", "develop")):
        locked = {_normal(name) for name in lock.get(key, {})}
        missing += [name for name in wanted.get(section, {}) if _normal(name) not in locked]
    return missing


def _normal(name: str) -> str:
    """The normalized name of a package (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def required_python(folder: Path) -> str:
    """The Python version of the lock file: python_full_version, or python_version, or an empty string."""
    requires = read_lock(folder).get("_meta", {}).get("requires", {})
    return requires.get("python_full_version") or requires.get("python_version") or ""
