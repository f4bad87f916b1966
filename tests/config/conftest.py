"""What these tests share: a server's own `run` with its real tool asked for a judgement, and Compose's
reading.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from deploy import contract

ROOT = contract.ROOT


def tool(*command: str | Path, **environ: str) -> subprocess.CompletedProcess:
    """Runs a tool in the repository's root."""
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=60, env={**os.environ, **environ}
    )


def tracked() -> list[Path]:
    """The files of the repository that are under version control, or about to be."""
    listed = tool("git", "-c", "safe.directory=*", "ls-files", "--cached", "--others", "--exclude-standard")
    assert listed.returncode == 0, listed.stderr
    return [ROOT / name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]


@pytest.fixture
def run_server(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess]:
    """Return a function that runs a server's `run` with everything that deploy/start gives it.

    `instead` is what happens where `run` calls the server's program: a line of shell in which $PROGRAM is
    the real program and "$@" are its arguments.
    """

    def run(server: str, program: str, instead: str, **given: str) -> subprocess.CompletedProcess:
        real = shutil.which(program)
        assert real, f"{program} is not installed"
        shim = tmp_path / "bin" / program
        shim.parent.mkdir(exist_ok=True)
        shim.write_text(f"#!/bin/sh\nPROGRAM={real}\n{instead}\n")
        shim.chmod(0o755)
        state = {"STATE_DIRECTORY": str(tmp_path), "RUNTIME_DIRECTORY": str(tmp_path)}
        secret = {"SECRET_KEY": "only-for-the-tests-0123456789"}
        settings = contract.load({"PATH": "", "WEB_CONCURRENCY": "2", "PRELOAD": "off", **state, **secret, **given})
        path = f"{shim.parent}:{os.environ['PATH']}"
        return tool(
            contract.SERVERS / server / "run",
            **settings,
            PATH=path,
            PYTHONPATH=str(ROOT),
            BACKLOG="128",
            SOCKET=contract.socket_path(settings),
            LOG_FD="2",
        )

    return run


@pytest.fixture(scope="session")
def compose() -> dict:
    """docker-compose.yml with all profiles, as Compose itself understands it."""
    done = tool(
        "docker", "compose", "--env-file", "/dev/null", "--profile", "*", "config", "--format", "json"
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
