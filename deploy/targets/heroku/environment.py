"""The platform's environment: nothing of the machine's own is inherited, neither by a build nor by a dyno."""

import os
from collections.abc import Mapping
from pathlib import Path

from deploy.targets.heroku import memory

APP = "/app"
PYTHON = f"{APP}/.heroku/python"
SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin"
TOOLS = "/opt/tools/bin"  # where the test image has pipenv; the platform has it in PYTHON/pipenv/bin
STACK = "heroku-24"  # Ubuntu; the image is Debian's
PER_PROCESS = 256 * memory.MB  # vendor/WEB_CONCURRENCY.sh

PIPENV = {"PIPENV_SYSTEM": "1", "PIPENV_VERBOSITY": "-1", "VIRTUAL_ENV": PYTHON}


def build(source_version: str) -> dict[str, str]:
    """What bin/compile exports."""
    return {
        "HOME": APP,
        "LANG": "en_US.UTF-8",
        "PATH": f"{PYTHON}/bin:{TOOLS}:{SYSTEM_PATH}",
        "PYTHONUNBUFFERED": "1",
        "SOURCE_VERSION": source_version,
        "STACK": STACK,
        **PIPENV,
    }


def installation(cache: Path, given: Mapping[str, str]) -> dict[str, str]:
    """What pip needs beyond that to reach the index of the machine at hand. `given` is the caller's environment."""
    bundle = given.get("CA_BUNDLE", "")
    names = ("PIP_CERT", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE") if bundle else ()
    return {
        "PIPENV_CACHE_DIR": str(cache),
        "PIPENV_NOSPIN": "1",
        "PIP_CONFIG_FILE": given.get("PIP_CONF") or os.devnull,
        **{name: bundle for name in names},
        **{name: value for name, value in given.items() if name.lower() in ("http_proxy", "https_proxy", "no_proxy")},
    }


def profile_scripts() -> dict[str, str]:
    """.profile.d as the buildpack writes it: file name → shell script, sourced before each process.

    But for PYTHONHOME: the platform's Python is a whole installation, the one here a virtual environment, which it breaks.
    """
    workers = max(1, min(2 * (os.cpu_count() or 1) + 1, memory.DYNO // PER_PROCESS))
    return {
        "python.sh": f'export PATH="$HOME/.heroku/python/bin:$PATH" PYTHONUNBUFFERED=true\n'
                     f'export LIBRARY_PATH="$HOME/.heroku/python/lib" LD_LIBRARY_PATH="$HOME/.heroku/python/lib"\n'
                     f'export LANG="${{LANG:-en_US.UTF-8}}" PYTHONPATH="${{PYTHONPATH:-$HOME}}"\n'
                     + "".join(f"export {name}={value}\n" for name, value in PIPENV.items()),
        "WEB_CONCURRENCY.sh": f"export DYNO_RAM={memory.DYNO // memory.MB}\n"
                              "[ -n \"${WEB_CONCURRENCY-}\" ] || "
                              f"export WEB_CONCURRENCY_SET_BY=heroku/python WEB_CONCURRENCY={workers}\n",
        "python.gunicorn.sh": "export FORWARDED_ALLOW_IPS='*'\n"
                              'export GUNICORN_CMD_ARGS="${GUNICORN_CMD_ARGS:---access-logfile -}"\n',
    }


def dyno(name: str, config: Mapping[str, str], port: int | None) -> dict[str, str]:
    """What a process finds before .profile.d has run: config vars, DYNO, and PORT if it is a web process."""
    own = {"HOME": APP, "PATH": SYSTEM_PATH, "DYNO": name, "PS": name, "STACK": STACK}
    return {**own, **config, **({"PORT": str(port)} if port else {})}
