"""A virtual environment with packages of Pipfile.lock, for what runs on the host itself."""

import importlib.util
import os
import sys
from pathlib import Path

from cli import console, sudo
from deploy.errors import StackError


def external():
    """One that is there already, to be used as it is; empty if nobody names one."""
    return os.environ.get("TRIPOD_VENV", "")


def ensure(folder, wanted, fix):
    """The environment, made or brought up to date if it does not hold `wanted`, a text of requirements with hashes.

    `fix` is what to type again when that failed.
    """
    if external():
        return Path(external())
    installed = folder / "requirements.txt"
    if installed.is_file() and installed.read_text() == wanted:
        return folder
    if not importlib.util.find_spec("ensurepip"):
        raise StackError(
            "This Python cannot make virtual environments.",
            "Debian has that in a package of its own. The packages go into one, nothing into the system.",
            f"{sudo.shell_line('apt-get install python3-venv')} && {fix}",
        )
    console.run("making a virtual environment", [sys.executable, "-m", "venv", folder], fix=fix)
    listed = folder / "wanted.txt"
    listed.write_text(wanted)
    pip = [folder / "bin/pip", "install", "--disable-pip-version-check", "--require-hashes", "-r", listed]
    console.run("installing the packages of Pipfile.lock", list(map(str, pip)), fix=fix)
    listed.replace(installed)
    return folder
