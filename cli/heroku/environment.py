"""The platform's environment: nothing of the machine's own is inherited, neither by a build nor by a dyno."""

import os
from collections.abc import Mapping
from pathlib import Path

from cli import proxy

APP = "/app"
PYTHON = f"{APP}/.heroku/python"
SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin"
TOOLS = "/opt/tools/bin"  # where the test image has pipenv; the platform has it in PYTHON/pipenv/bin
STACK = "heroku-24"  # Ubuntu; the image is Debian's
PROFILE = Path(__file__).parent / "profile.d"  # what the buildpack puts there, sourced before each process


def build(source_version: str) -> dict[str, str]:
    """What bin/compile exports."""
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


def installation(scratch: Path, given: Mapping[str, str]) -> dict[str, str]:
    """What pip needs beyond that to reach the index of the machine at hand. `given` is the caller's environment."""
    bundle = given.get("CA_BUNDLE", "")
    names = ("PIP_CERT", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE") if bundle else ()
    return {
        "PIPENV_CACHE_DIR": str(scratch),  # else in HOME, which is the slug here
        "PIPENV_NOSPIN": "1",
        "PIP_CONFIG_FILE": given.get("PIP_CONF") or os.devnull,
        **{name: bundle for name in names},
        **proxy.inherited(given),
    }


def dyno(name: str, config: Mapping[str, str], port: int | None) -> dict[str, str]:
    """What a process finds before .profile.d has run: config vars, DYNO, and PORT if it is a web process."""
    own = {"HOME": APP, "PATH": SYSTEM_PATH, "DYNO": name, "PS": name, "STACK": STACK}
    return {**own, **config, **({"PORT": str(port)} if port else {})}
