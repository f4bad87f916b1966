"""Pipfile and Pipfile.lock, as far as they can be judged without pipenv.

Python 3.10 has no reader for TOML, so the Pipfile's sections are read line by line: enough for names and versions.
"""

import json
import re
from pathlib import Path
from typing import Any

_SECTION = re.compile(r"\[([\w-]+)\]")
_ENTRY = re.compile(r"[\"']?([A-Za-z0-9._-]+)[\"']?\s*=\s*(.*)")


def sections(text: str) -> dict[str, dict[str, str]]:
    """Section → name → what stands behind the equals sign, unread."""
    found: dict[str, dict[str, str]] = {}
    current = found.setdefault("", {})
    for line in map(str.strip, text.splitlines()):
        if section := _SECTION.match(line):
            current = found.setdefault(section[1], {})
        elif entry := _ENTRY.match(line):
            current[entry[1]] = entry[2]
    return found


def read_lock(folder: Path) -> dict[str, Any]:
    """The lock file. Raises ValueError if it is no JSON object."""
    lock = json.loads((folder / "Pipfile.lock").read_text(encoding="utf-8"))
    if not isinstance(lock, dict):
        raise ValueError("it holds no JSON object")
    return lock


def not_locked(folder: Path) -> list[str]:
    """The packages that the Pipfile names and the lock does not."""
    wanted, lock = sections((folder / "Pipfile").read_text(encoding="utf-8")), read_lock(folder)
    missing = []
    for section, key in (("packages", "default"), ("dev-packages", "develop")):
        locked = {_normal(name) for name in lock.get(key, {})}
        missing += [name for name in wanted.get(section, {}) if _normal(name) not in locked]
    return missing


def _normal(name: str) -> str:
    """The one spelling of a package's name (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def required_python(folder: Path) -> str:
    """python_full_version of the lock, else its python_version, else nothing: in the buildpack's order."""
    requires = read_lock(folder).get("_meta", {}).get("requires", {})
    return requires.get("python_full_version") or requires.get("python_version") or ""
