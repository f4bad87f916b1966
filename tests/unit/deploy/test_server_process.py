"""deploy/server_process.py: which processes a health check kills, and that it kills no other."""

import contextlib
import os
import signal
import subprocess
import sys
import time

import pytest

from deploy import server_process

TREE = "sleep 60 & sh -c 'sleep 60 & wait' & wait"  # a server with worker processes


@pytest.fixture
def settings(tmp_path):
    return {"RUNTIME_DIRECTORY": str(tmp_path)}


@pytest.fixture
def server(settings):
    """A recorded process with four descendants."""
    child = subprocess.Popen(["sh", "-c", TREE], stderr=subprocess.PIPE)
    deadline = time.monotonic() + 10
    while len(server_process.descendants(child.pid)) < 3:
        assert time.monotonic() < deadline
    server_process.record(settings, child.pid)
    yield child
    for pid in [*server_process.descendants(child.pid), child.pid]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    child.wait()
    child.stderr.close()


def test_server_is_killed_with_its_descendants(settings, server):
    """All descendants of the recorded process are killed, so that it exits; the line reaches its log."""
    victims = server_process.descendants(server.pid)
    server_process.kill(settings, '{"level":"CRITICAL"}')
    assert server.stderr.read() == b'{"level":"CRITICAL"}\n'
    server.wait(timeout=10)
    deadline = time.monotonic() + 10
    while [pid for pid in victims if server_process._stat(pid)[:1] not in ([], ["Z"])]:
        assert time.monotonic() < deadline


def test_stopped_server_is_killed(settings, server):
    """Processes that were stopped by a signal are killed too."""
    for pid in [server.pid, *server_process.descendants(server.pid)]:
        os.kill(pid, signal.SIGSTOP)
    server_process.kill(settings, "")
    server.wait(timeout=10)


def test_nothing_is_killed_without_a_record(settings, monkeypatch):
    """Without a record, on a host where an old heartbeat is left, for example, no process gets a signal."""
    monkeypatch.setattr(os, "kill", lambda *args: pytest.fail(f"kill{args}"))
    server_process.kill(settings, "")


@pytest.mark.parametrize("record", ["", "1", "x y", "999999999 1", "1 2 3", "-1 0", "0 0"])
def test_invalid_record_kills_nothing(settings, tmp_path, monkeypatch, record):
    """A damaged or forged record kills nothing."""
    monkeypatch.setattr(os, "kill", lambda *args: pytest.fail(f"kill{args}"))
    server_process._path(settings).write_text(record)
    server_process.kill(settings, "")


def test_later_process_with_the_same_pid_is_spared(settings, server):
    """The record of an earlier process does not count for another one that has its PID now."""
    path = server_process._path(settings)
    pid, start_time = path.read_text().split()
    path.write_text(f"{pid} {int(start_time) - 1}")
    assert server_process.recorded(settings) == 0


@pytest.mark.needs("root")
def test_record_of_another_user_is_ignored(settings, server):
    """Root does not kill a process that the app has named, unless it is the app's own."""
    os.chown(server_process._path(settings), 65534, 65534)
    assert server_process.recorded(settings) == 0


def test_record_is_no_link(settings, server, tmp_path):
    """A symbolic link in place of the record is not followed."""
    path = server_process._path(settings)
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    assert server_process.recorded(settings) == 0


def test_first_process_of_a_container_may_be_an_init(settings, tmp_path):
    """deploy/start records the process that it started under, not process 1: with `init: true` that is the init."""
    code = f"""if 1:
        import os, sys
        from deploy import raw_output, server_process
        settings = {{"RUNTIME_DIRECTORY": {str(tmp_path)!r}}}
        raw_output.capture("server", 1, 2)
        server_process.record(settings, os.getppid())
        server_process.kill(settings, "")
        os._exit(5)
    """
    done = subprocess.run([sys.executable, "-c", code], timeout=30)
    assert done.returncode == 128 + signal.SIGKILL
