"""Pipfile.lock as a requirements.txt with hashes, for where pip is and pipenv is not; only the standard library.

python3 -m cli.requirements [uwsgi] > requirements.txt
"""

import json
import sys
from pathlib import Path

LOCK = Path(__file__).resolve().parents[1] / "Pipfile.lock"


def locked(*, uwsgi, more=()):
    """The text: the app's packages, and those of the development packages that `more` names.

    uWSGI, which pip compiles, only where it is asked for.
    """
    lock = json.loads(LOCK.read_text())
    packages = {**lock["default"], **{name: lock["develop"][name] for name in more}}
    if not uwsgi:
        packages.pop("uwsgi", None)
    return "".join(_line(name, entry) for name, entry in sorted(packages.items()))


def _line(name, entry):
    extras = f"[{','.join(entry['extras'])}]" if entry.get("extras") else ""
    markers = f" ; {entry['markers']}" if entry.get("markers") else ""
    hashes = "".join(f" --hash={one}" for one in entry["hashes"])
    return f"{name}{extras}{entry['version']}{markers}{hashes}\n"


if __name__ == "__main__":
    print(locked(uwsgi="uwsgi" in sys.argv[1:]), end="")
