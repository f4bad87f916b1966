"""A virtual environment with packages of Pipfile.lock, for commands that run on the host itself."""

import importlib.util
import os
import sys
from pathlib import Path

from cli import console, sudo
from deploy.errors import StackError


def external():
    """Return the virtual environment that TRIPOD_VENV names, which is used unchanged; empty if it is unset."""
    return os.environ.get("TRIPOD_VENV", "")


def ensure(folder, requirements, fix):
    """Make the virtual environment, or update it if it was made from other requirements. Return its folder.

    requirements: the text of a requirements.txt with hashes. fix: the command to repeat if this fails.
    """
    if external():
        return Path(external())
    installed = folder / "requirements.txt"
    if installed.is_file() and installed.read_text() == requirements:
        return folder
    if not importlib.util.find_spec("ensurepip"):
        raise StackError(
            "This Python cannot make virtual environments.",
            "Debian and Ubuntu have the module ensurepip in the package python3-venv, which is not installed.",
            f"{sudo.shell_line('apt-get install python3-venv')} && {fix}",
        )
    console.run("making a virtual environment", [sys.executable, "-m", "venv", folder], fix=fix)
    # Renamed after the installation: an interrupted one is repeated.
    pending = folder / "requirements.new"
    pending.write_text(requirements)
    pip = [folder / "bin/pip", "install", "--disable-pip-version-check", "--require-hashes", "-r", pending]
    console.run("installing the packages of Pipfile.lock", list(map(str, pip)), fix=fix)
    pending.replace(installed)
    return folder
