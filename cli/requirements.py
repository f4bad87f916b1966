"""Print Pipfile.lock as a requirements.txt with hashes, for machines that have pip but not pipenv.

python3 -m cli.requirements [uwsgi] > requirements.txt

Only the standard library.
"""

import json
import sys
from pathlib import Path

LOCK = Path(__file__).resolve().parents[1] / "Pipfile.lock"


def development():
    """The names of the development packages."""
    return sorted(json.loads(LOCK.read_text())["develop"])


def locked(*, uwsgi, more=()):
    """The requirements of the app, and of the development packages in `more`.

    uWSGI is left out unless it is requested, since pip compiles it.
    """
    lock = json.loads(LOCK.read_text())
    packages = {**lock["default"], **{name: lock["develop"][name] for name in more}}
    if not uwsgi:
        packages.pop("uwsgi", None)
    return "".join(_line(name, entry) for name, entry in sorted(packages.items()))


def _line(name, entry):
    extras = f"[{','.join(entry['extras'])}]" if entry.get("extras") else ""
    markers = f" ; {entry['markers']}" if entry.get("markers") else ""
    hashes = "".join(f" --hash={digest}" for digest in entry["hashes"])
    return f"{name}{extras}{entry['version']}{markers}{hashes}\n"


if __name__ == "__main__":
    print(locked(uwsgi="uwsgi" in sys.argv[1:]), end="")
