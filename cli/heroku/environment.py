"""The environment variables of a build and of a dyno. Neither inherits any from this machine."""

import os
from collections.abc import Mapping
from pathlib import Path

from cli import proxy

APP = "/app"
PYTHON = f"{APP}/.heroku/python"
SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin"
TOOLS = "/opt/tools/bin"  # of the test image; the platform has pipenv in PYTHON/pipenv/bin
PIP_CACHE = Path("/opt/pip-cache")  # of the test image: wheels that pip has compiled from the locked packages
STACK = "heroku-24"  # the platform's, on Ubuntu; the test image uses Debian
PROFILE = Path(__file__).parent / "profile.d"  # the scripts of the buildpack, sourced before each process


def build(source_version: str) -> dict[str, str]:
    """The variables that bin/compile of the buildpack exports."""
    return {
        "HOME": APP,
        "LANG": "en_US.UTF-8",
        "PATH": f"{PYTHON}/bin:{TOOLS}:{SYSTEM_PATH}",
        "PYTHONUNBUFFERED": "1",
        "SOURCE_VERSION": source_version,
        "STACK": STACK,
        "PIPENV_SYSTEM": "1",
        "PIPENV_VERBOSITY": "-1",
        "VIRTUAL_ENV": PYTHON,
    }


def installation(scratch: Path, caller: Mapping[str, str]) -> dict[str, str]:
    """The additional variables that pip needs for the package index of this machine, from the caller's environment."""
    bundle = caller.get("CA_BUNDLE", "")
    names = ("PIP_CERT", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE") if bundle else ()
    return {
        "PIPENV_CACHE_DIR": str(scratch),  # default: in HOME, which is the slug
        "PIPENV_NOSPIN": "1",
        "PIP_CONFIG_FILE": caller.get("PIP_CONF") or os.devnull,
        **{name: bundle for name in names},
        **proxy.inherited(caller),
    }


def dyno(name: str, config: Mapping[str, str], port: int | None) -> dict[str, str]:
    """The variables of a process before .profile.d runs: config vars, DYNO, and PORT for a web process."""
    platform = {"HOME": APP, "PATH": SYSTEM_PATH, "DYNO": name, "PS": name, "STACK": STACK}
    return {**platform, **config, **({"PORT": str(port)} if port else {})}
