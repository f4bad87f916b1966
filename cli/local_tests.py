"""The tests that need no Docker engine, run on this machine: unit tests, configuration, and smoke tests on plain
processes. tests/needs.py leaves out the others and counts them.
"""

import os
import shutil
import subprocess
import sys

from cli import console, native, requirements, sudo, venv
from cli.console import ROOT, say
from deploy.errors import StackError

HOME = console.STATE / "test"
OUTPUT = ["-p", "tests.needs", "-o", f"cache_dir={HOME / 'cache'}"]
SERVER = "gunicorn"
# ./stack test --quick runs this in place of the tests of a stack in containers, which are counted as not run.
SMOKE = "tests/live/test_target_native.py::test_smoke"


def run(engine_error, options, selection, own):
    """Run pytest in a virtual environment with the locked packages and return its exit status.

    selection: the tests of --quick, or nothing for all of them. own: the arguments of the user.
    """
    say(f"\nThere is no Docker engine: {engine_error.error} {engine_error.cause.splitlines()[-1]}")
    say(f"Only the tests that need none are run. To run all: {engine_error.fix.splitlines()[0]}\n")
    _check_machine()
    _install_nginx()
    packages = _venv()
    path = f"{packages}/bin:{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
    env = {**os.environ, "PATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
    env.pop("TRIPOD_VENV", None)  # the tests of ./stack set it themselves
    smoke = [SMOKE] if selection else []
    command = [f"{packages}/bin/python", "-m", "pytest", *OUTPUT, *options, *smoke, *selection, *own]
    return subprocess.run(command, env=env, cwd=ROOT).returncode


def _check_machine():
    if sys.version_info < native.OLDEST_PYTHON:
        raise StackError(
            f"The tests need Python 3.11 or newer; this is Python {'.'.join(map(str, sys.version_info[:2]))}.",
            "Without Docker, they run on the Python that runs ./stack.",
            "./stack test   (with Docker)",
        )
    if not shutil.which("git"):
        raise StackError(
            "git is not installed.",
            "The tests of the configuration read the list of files from git.",
            sudo.shell_line("apt-get install git"),
        )


def _install_nginx():
    """Install what plain processes need. If that fails, the smoke tests are left out, because Nginx is missing."""
    if not native.is_possible(SERVER):
        say("The smoke tests are not run: Nginx is not installed, and ./stack cannot install it here.")
        return
    try:
        native.install(SERVER)
    except sudo.Declined:
        raise
    except StackError as error:
        say(f"The smoke tests are not run: {error.error} {error.cause.splitlines()[-1]}")
        return
    if os.geteuid() == 0:
        native.check_readable()


def _venv():
    """Make or update the virtual environment and return its folder. pip compiles uWSGI if this machine has gcc."""
    console.state_folder()
    HOME.mkdir(exist_ok=True)
    has_compiler = not {"gcc", "python3-dev"} & set(native.missing_packages("uwsgi"))
    wanted = requirements.locked(uwsgi=has_compiler, more=requirements.development())
    return venv.ensure(HOME / "venv", wanted, fix="./stack test")
