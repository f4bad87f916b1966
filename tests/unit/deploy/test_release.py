"""deploy/release as process 1: it passes signals on, and its exit status is that of RELEASE_COMMAND."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from deploy.settings import ROOT
from tests.support.wsgi import CLEAN

WITHIN = 10  # seconds
# Process 1 of a PID namespace ignores signals without a handler, like the first process of a container.
AS_PROCESS_1 = ("unshare", "--fork", "--pid", "--mount-proc", "--kill-child")


@contextlib.contextmanager
def release(tmp_path, command: str, *prefix: str) -> Iterator[subprocess.Popen[str]]:
    """Run deploy/release, and kill it at the end if it still runs."""
    environ = CLEAN | {"STATE_DIRECTORY": str(tmp_path), "RELEASE_COMMAND": command, "HOME": str(tmp_path)}
    words = [*prefix, sys.executable, str(ROOT / "deploy/release")]
    with subprocess.Popen(words, env=environ, cwd=ROOT, text=True, stdout=subprocess.PIPE) as child:
        try:
            yield child
        finally:
            child.kill()


def await_file(path) -> None:
    deadline = time.monotonic() + WITHIN
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} does not exist"
        time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP], ids=lambda number: number.name)
def test_command_gets_the_signal(tmp_path, number):
    """A release that is stopped stops its command, with the programs that the command has started."""
    name = number.name.removeprefix("SIG")
    command = f"trap 'echo stopped; exit 7' {name}; touch {tmp_path}/started; for i in $(seq 600); do sleep 0.05; done"
    with release(tmp_path, command) as child:
        await_file(tmp_path / "started")
        child.send_signal(number)
        assert (child.communicate(timeout=WITHIN)[0], child.returncode) == ("stopped\n", 7)


@pytest.mark.needs("root")
def test_process_1_passes_the_signal_on(tmp_path):
    """As process 1, where the kernel discards signals without a handler, a release that is stopped exits at once."""
    command = f"touch {tmp_path}/started; exec sleep 60"
    began = time.monotonic()
    with release(tmp_path, command, *AS_PROCESS_1) as child:
        await_file(tmp_path / "started")
        (first,) = subprocess.run(["pgrep", "-P", str(child.pid)], text=True, capture_output=True).stdout.split()
        os.kill(int(first), signal.SIGTERM)
        assert child.wait(timeout=WITHIN) == 128 + signal.SIGTERM
    assert time.monotonic() - began < WITHIN


def test_exit_status_is_that_of_the_command(tmp_path):
    """The exit status is the command's; a command that a signal kills has 128 plus the signal."""
    for command, status in (("exit 3", 3), ("true", 0), ("kill -KILL $$", 137)):
        with release(tmp_path, command) as child:
            assert child.wait(timeout=WITHIN) == status
