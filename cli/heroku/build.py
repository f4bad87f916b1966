"""The build, in the order of the buildpack's bin/compile. It runs in a mount namespace in which /app is the slug."""

import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from cli.heroku import check, environment, output, python_version
from deploy.errors import EXIT_FAILURE, StackError, StackErrors
from deploy.settings import ROOT

APP = Path(environment.APP)
PYTHON = Path(environment.PYTHON)


def compile_app(commit: str, config: Mapping[str, str], cache: Path, scratch: Path) -> None:
    """Build the slug from the files in /app. Raise StackError if the platform would reject them.

    config: the app's config vars. cache: a folder that is kept for the next build. scratch: a temporary folder.
    """
    started = time.monotonic()
    output.step("Python app detected")
    _hook("pre_compile", commit, config)
    for warning in check.find_warnings(APP):
        output.detail(f"Warning: {warning}")
    if errors := check.find_errors(APP):
        raise StackErrors(errors, EXIT_FAILURE)
    version, origin = python_version.requested(APP)
    output.step(f"Using Python {version} specified in {origin}")
    _require_same_python(version)
    _install(commit, cache, scratch)
    _write_profile()
    _hook("post_compile", commit, config)
    output.detail(f"built in {time.monotonic() - started:.1f} s")


def _require_same_python(version: str) -> None:
    here = platform.python_version()
    if version.split(".")[:2] != here.split(".")[:2]:
        raise StackError(
            f"Python {version} cannot be rehearsed.",
            f"Heroku supports it, but the test image, which replaces the platform, has only {here}.",
            f"echo {here.rpartition('.')[0]} > .python-version",
        )


def _install(commit: str, cache: Path, scratch: Path) -> None:
    """Do what `pipenv install --deploy` does, in two steps.

    `pipenv verify` runs without pip's settings: they would become part of the hash that it compares.
    """
    pipenv, environ = f"{environment.TOOLS}/pipenv", environment.build(commit)
    cached = cache / "python" / _key()
    if cached.is_dir():
        output.step("Restoring cache")
        shutil.copytree(cached, PYTHON, symlinks=True)
    else:
        output.step(f"Installing Python {platform.python_version()}")
        subprocess.run(["/usr/bin/python3", "-m", "venv", "--without-pip", PYTHON], check=True)
    output.step("Installing dependencies using 'pipenv install --deploy'")
    if output.run([pipenv, "verify"], environ | {"PIP_CONFIG_FILE": os.devnull}, environment.APP):
        raise StackError(
            "Unable to install dependencies using Pipenv.",
            "Your Pipfile.lock is out of date.",
            "./stack lock && git commit Pipfile.lock",
        )
    if environment.PIP_CACHE.is_dir():  # saves the minute in which pip compiles uWSGI; it still checks the hashes
        shutil.copytree(environment.PIP_CACHE, scratch, dirs_exist_ok=True)
    if output.run([pipenv, "sync"], environ | environment.installation(scratch, os.environ), environment.APP):
        raise StackError(
            "Unable to install dependencies using Pipenv.",
            "The output above names the package and the reason.",
            "./stack lock   (or correct the settings of the package index: pip.conf)",
        )
    if not cached.is_dir():
        _save(cached)


def _key() -> str:
    """The name of the cache entry: the cache is dropped when one of these values changes."""
    parts = (platform.python_version(), environment.PYTHON, (APP / "Pipfile.lock").read_text())
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def _save(cached: Path) -> None:
    """Replace the cache by this environment; the rename makes sure that it is complete."""
    shutil.rmtree(cached.parent, ignore_errors=True)
    cached.parent.mkdir(parents=True)
    draft = Path(tempfile.mkdtemp(dir=cached.parent)) / "python"
    shutil.copytree(PYTHON, draft, symlinks=True)
    draft.rename(cached)
    draft.parent.rmdir()
    # Files of root would be in the way of the operator, who owns the folder.
    subprocess.run(["chown", "-R", f"--reference={ROOT}", cached.parent.parent], check=True)


def _write_profile() -> None:
    shutil.copytree(environment.PROFILE, APP / ".profile.d", dirs_exist_ok=True)


def _hook(name: str, commit: str, config: Mapping[str, str]) -> None:
    path = APP / "bin" / name
    if not path.is_file():
        return
    output.step(f"Running bin/{name} hook")
    path.chmod(path.stat().st_mode | 0o111)
    # The config vars, except those that would change the build itself.
    variables = {key: value for key, value in config.items() if key not in ("PATH", "PYTHONHOME", "PYTHONPATH")}
    if output.run([f"bin/{name}"], environment.build(commit) | variables, environment.APP):
        raise StackError(
            f"Failed to run the bin/{name} script.",
            "Its exit status was not 0; its output is above.",
            f"correct bin/{name}, and commit it",
        )
