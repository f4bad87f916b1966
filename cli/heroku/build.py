"""The build, in the order of the buildpack's bin/compile. It runs where /app is the folder that is built."""

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
from deploy.errors import StackError
from deploy.settings import ROOT

APP = Path(environment.APP)
PYTHON = Path(environment.PYTHON)


def compile_app(commit: str, config: Mapping[str, str], cache: Path, scratch: Path) -> None:
    """Turns the files in /app into what a slug holds. Raises StackError.

    `config` are the app's config vars, `cache` is a folder that outlives the build, `scratch` one that does not.
    """
    started = time.monotonic()
    output.step("Python app detected")
    _hook("pre_compile", commit, config)
    for warning in check.warnings(APP):
        output.detail(f"Warning: {warning}")
    if found := check.refusals(APP):
        for refusal in found[:-1]:
            print(refusal, flush=True)
        raise found[-1]
    version, origin = python_version.requested(APP)
    output.step(f"Using Python {version} specified in {origin}")
    _require_this_python(version)
    _install(commit, cache, scratch)
    _write_profile()
    _hook("post_compile", commit, config)
    output.detail(f"built in {time.monotonic() - started:.1f} s")


def _require_this_python(version: str) -> None:
    here = platform.python_version()
    if version.split(".")[:2] != here.split(".")[:2]:
        raise StackError(
            f"Python {version} cannot be rehearsed here.",
            f"The platform has it, but the image that stands in for it has {here}.",
            f"echo {here.rpartition('.')[0]} > .python-version",
        )


def _install(commit: str, cache: Path, scratch: Path) -> None:
    """`pipenv install --deploy` in two steps: pip's own settings would become part of the hash it compares."""
    pipenv, environ = f"{environment.TOOLS}/pipenv", environment.build(commit)
    kept = cache / "python" / _key()
    if kept.is_dir():
        output.step("Restoring cache")
        shutil.copytree(kept, PYTHON, symlinks=True)
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
    if output.run([pipenv, "sync"], environ | environment.installation(scratch, os.environ), environment.APP):
        raise StackError(
            "Unable to install dependencies using Pipenv.",
            "The log above says which package, and why.",
            "./stack lock, or mend the way to the package index",
        )
    if not kept.is_dir():
        _keep(kept)


def _key() -> str:
    """The cache is dropped when one of these changes."""
    parts = (platform.python_version(), environment.PYTHON, (APP / "Pipfile.lock").read_text())
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def _keep(kept: Path) -> None:
    """The environment appears in the cache complete or not at all, and in place of all others."""
    shutil.rmtree(kept.parent, ignore_errors=True)
    kept.parent.mkdir(parents=True)
    draft = Path(tempfile.mkdtemp(dir=kept.parent)) / "python"
    shutil.copytree(PYTHON, draft, symlinks=True)
    draft.rename(kept)
    draft.parent.rmdir()
    # Root's files have no place in the person's folder.
    subprocess.run(["chown", "-R", f"--reference={ROOT}", kept.parent.parent], check=True)


def _write_profile() -> None:
    shutil.copytree(environment.PROFILE, APP / ".profile.d", dirs_exist_ok=True)


def _hook(name: str, commit: str, config: Mapping[str, str]) -> None:
    path = APP / "bin" / name
    if not path.is_file():
        return
    output.step(f"Running bin/{name} hook")
    path.chmod(path.stat().st_mode | 0o111)
    # Config vars, but for those that would change the build itself.
    given = {key: value for key, value in config.items() if key not in ("PATH", "PYTHONHOME", "PYTHONPATH")}
    if output.run([f"bin/{name}"], environment.build(commit) | given, environment.APP):
        raise StackError(
            f"Failed to run the bin/{name} script.",
            "It ended with an exit status other than 0; see above.",
            f"mend bin/{name}",
        )
