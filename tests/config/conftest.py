"""Shared fixtures: a server's own `run` with a replaced program, and Compose's view of docker-compose.yml."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from deploy.settings import ROOT, SERVERS, export_settings, load_settings, socket_path
from tests.support.repository import tool


@pytest.fixture
def run_server(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess]:
    """Return a function that runs a server's `run` with the environment that deploy/start prepares.

    `command` replaces the server's program: a line of shell in which $PROGRAM is the real program and "$@" are
    its arguments.
    """

    def run(server: str, program: str, command: str, **environ: str) -> subprocess.CompletedProcess:
        real = shutil.which(program)
        assert real, f"{program} is not installed"
        shim = tmp_path / "bin" / program
        shim.parent.mkdir(exist_ok=True)
        shim.write_text(f"#!/bin/sh\nPROGRAM={real}\n{command}\n")
        shim.chmod(0o755)
        state = {"STATE_DIRECTORY": str(tmp_path), "RUNTIME_DIRECTORY": str(tmp_path)}
        secret = {"SECRET_KEY": "only-for-the-tests-0123456789"}
        settings = load_settings({"PATH": "", "WEB_CONCURRENCY": "2", "PRELOAD": "off", **state, **secret, **environ})
        path = f"{shim.parent}:{os.environ['PATH']}"
        exported: dict[str, str] = {}
        export_settings(settings, exported)
        return tool(
            SERVERS / server / "run",
            **exported,
            PATH=path,
            PYTHONPATH=str(ROOT),
            BACKLOG="128",
            SOCKET=socket_path(settings),
            LOG_FD="2",
        )

    return run


@pytest.fixture(scope="session")
def compose() -> dict:
    """docker-compose.yml with all profiles, as Compose reads it."""
    done = tool("docker", "compose", "--env-file", "/dev/null", "--profile", "*", "config", "--format", "json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
