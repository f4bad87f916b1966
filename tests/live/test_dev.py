"""`./stack dev` as people use it, on a host without Docker: edits are there at once, errors are explained."""

import os
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import pytest
import requests

from tests.live.test_target_native import Host
from tests.support.ports import free_port

PATIENCE = 60  # seconds; the reloader looks once a second, a busy machine takes longer


@pytest.fixture(scope="module")
def host():
    with tempfile.TemporaryDirectory(prefix="dev-") as folder:
        yield Host(Path(folder))


@pytest.fixture(scope="module")
def url(host):
    """The address of a development server, which Ctrl-C ends."""
    port = free_port()
    log = host.folder / "dev.log"
    with log.open("w") as output:
        server = subprocess.Popen(
            ["/usr/bin/python3", host.folder / "stack", "dev", "--port", str(port)],
            env=host.env,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    url = f"http://127.0.0.1:{port}"
    assert answer(url, lambda found: found.status_code == 200), log.read_text()
    yield url
    os.killpg(server.pid, signal.SIGINT)
    assert server.wait(PATIENCE) is not None


def answer(url, wanted) -> bool:
    """Whether the server gives such an answer before patience ends."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            if wanted(requests.get(url, timeout=10)):
                return True
        except requests.RequestException:
            pass  # it starts, or reloads, which cuts an answer in the middle
        time.sleep(0.1)
    return False


def test_edit_is_there_with_the_next_request(host, url):
    """The server reloads an edited module."""
    health = host.folder / "app/readiness/views.py"
    health.write_text(health.read_text() + '\n\n@bp.get("/new")\ndef new():\n    return "edited"\n')
    assert answer(f"{url}/new", lambda found: found.text == "edited")


def test_error_is_explained(host, url):
    """An exception is shown with its traceback and the debugger."""
    health = host.folder / "app/readiness/views.py"
    health.write_text(health.read_text() + '\n\n@bp.get("/broken")\ndef broken():\n    return 1 / 0\n')
    assert answer(f"{url}/broken", lambda found: "ZeroDivisionError" in found.text and "Werkzeug" in found.text)


def test_commands_use_the_same_database(host, url):
    """`./stack dev seed` fills what the server shows."""
    done = host.stack("dev", "seed", "--posts", "5", "--users", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    assert requests.get(url, timeout=PATIENCE).text.count("<article") == 5


def test_taken_port(host, url):
    """A taken port is named before anything is changed."""
    done = host.stack("dev", "--port", url.rpartition(":")[2])
    assert done.returncode == 1 and "is taken by" in done.stderr
