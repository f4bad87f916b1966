"""`./stack dev` on a host without Docker: edits are served at once, and errors show the debugger."""

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

TIMEOUT = 60  # seconds; the reloader checks once a second, but a busy machine takes longer


@pytest.fixture(scope="module")
def host():
    with tempfile.TemporaryDirectory(prefix="dev-") as folder:
        yield Host(Path(folder))


@pytest.fixture(scope="module")
def url(host):
    """The URL of a development server, which Ctrl-C stops."""
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
    assert answers(url, lambda response: response.status_code == 200), log.read_text()
    yield url
    os.killpg(server.pid, signal.SIGINT)
    assert server.wait(TIMEOUT) is not None


def answers(url, is_expected) -> bool:
    """Return whether the server gives the expected response within TIMEOUT."""
    deadline = time.monotonic() + TIMEOUT
    while time.monotonic() < deadline:
        try:
            if is_expected(requests.get(url, timeout=10)):
                return True
        except requests.RequestException:
            pass  # the server starts, or a reload has cut the response
        time.sleep(0.1)
    return False


def test_edited_code_is_served(host, url):
    """The server reloads an edited module without a restart."""
    views = host.folder / "app/readiness/views.py"
    views.write_text(views.read_text() + '\n\n@bp.get("/new")\ndef new():\n    return "edited"\n')
    assert answers(f"{url}/new", lambda response: response.text == "edited")


def test_error_shows_the_debugger(host, url):
    """An exception is shown with its traceback and Werkzeug's debugger."""
    views = host.folder / "app/readiness/views.py"
    views.write_text(views.read_text() + '\n\n@bp.get("/broken")\ndef broken():\n    return 1 / 0\n')
    assert answers(f"{url}/broken", lambda page: "ZeroDivisionError" in page.text and "Werkzeug" in page.text)


def test_commands_use_the_same_database(host, url):
    """`./stack dev seed` fills the database that the development server uses."""
    done = host.stack("dev", "seed", "--posts", "5", "--users", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    assert requests.get(url, timeout=TIMEOUT).text.count("<article") == 5


def test_taken_port(host, url):
    """An occupied port is reported before anything is changed."""
    done = host.stack("dev", "--port", url.rpartition(":")[2])
    assert done.returncode == 1 and "is taken by" in done.stderr
