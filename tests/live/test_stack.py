"""./stack on a running Docker engine: what it starts, what it prints, and which settings it refuses."""

import os
import re
import secrets
import socket
import subprocess

import pytest
import requests

from deploy.settings import server_names
from tests.live.stack import ROOT, StackCommand
from tests.smoke.account import Account
from tests.smoke.client import POSTS
from tests.support.ports import free_port


@pytest.fixture(scope="module")
def stack():
    """A running stack. Its attribute `said` is the output of `./stack up`."""
    stack = StackCommand(f"tripod-test-{secrets.token_hex(4)}", free_port())
    try:
        done = stack("up")
        assert done.returncode == 0, done.stdout + done.stderr
        stack.said = done.stdout
        yield stack
    finally:
        stack("down", "--volumes", "--yes")


def test_up_ends_with_a_page(stack):
    """`./stack up` prints the URL of the page, the server that answers, and the next commands."""
    assert re.search(rf"{stack.url} +answered by gunicorn", stack.said)
    assert "./stack smoke" in stack.said
    assert requests.get(stack.url, timeout=10).status_code == 200


def test_second_up_changes_nothing(stack):
    """A second `./stack up` leaves the containers as they are."""
    before = stack.containers()
    assert stack("up").returncode == 0
    assert stack.containers() == before


def test_status(stack):
    """`./stack status` shows the containers and the server that answers."""
    done = stack("status")
    assert done.returncode == 0
    assert "healthy" in done.stdout and f"{stack.url}   answered by gunicorn" in done.stdout


def test_smoke(stack):
    """`./stack smoke` finds the running stack by itself, and the smoke tests pass."""
    done = stack("smoke", "--expect-server", "gunicorn")
    assert done.returncode == 0, done.stdout + done.stderr


def test_smoke_fails_on_another_server(stack):
    """The smoke tests fail if another server than the expected one answers."""
    tests = ["pytest", "tests/smoke/test_health.py", "--base-url", stack.url, "--expect-server", "uwsgi"]
    done = subprocess.run(tests, cwd=ROOT, text=True, capture_output=True)
    assert done.returncode == 1 and "uwsgi" in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize(
    "args, env, status, expected",
    [
        (["up", "--server", "waitress"], {}, 78, ["waitress", ", ".join(server_names())]),
        (["up"], {"WSGI_SERVER": "waitress"}, 78, ["WSGI_SERVER", ", ".join(server_names())]),
        (["up"], {"WEB_THREADS": "a few"}, 78, ["WEB_THREADS", "not a whole number"]),
        (["up"], {"HTTP_PORT": "eighty"}, 78, ["eighty"]),
        (["uup"], {}, 2, ["uup", "./stack up"]),
    ],
)
def test_refused_before_anything_changes(stack, args, env, status, expected):
    """A wrong setting is refused with the fix, and the running stack is unchanged."""
    before = stack.containers()
    done = stack(*args, **env)
    assert done.returncode == status
    assert [word for word in expected if word not in done.stderr] == []
    assert stack.containers() == before


def test_port_taken(stack):
    """The error about an occupied HTTP_PORT names the process that uses it."""
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = str(holder.getsockname()[1])
        done = stack("up", HTTP_PORT=port)
    assert done.returncode == 1
    assert f"Port {port} is taken by" in done.stderr and f"(pid {os.getpid()})" in done.stderr


@pytest.fixture(scope="module")
def failed_and_repaired(stack):
    """The result of `./stack up` with an app that does not exist, and of the next one, with valid settings."""
    return stack("up", WSGI_APP="app.wsgi:missing"), stack("up")


def test_app_that_cannot_be_imported(failed_and_repaired):
    """If the app cannot be imported, its container exits; ./stack names the app and shows the end of the traceback."""
    done, _ = failed_and_repaired
    assert done.returncode == 1
    said = done.stdout + done.stderr
    assert "app.wsgi:missing cannot be loaded: AttributeError" in said and "web" in done.stderr


def test_up_repairs_the_stack(stack, failed_and_repaired):
    """The next `./stack up` with valid settings repairs the stack."""
    _, done = failed_and_repaired
    assert done.returncode == 0, done.stdout + done.stderr
    assert requests.get(stack.url + POSTS, timeout=10).status_code == 200


def test_down_keeps_data(stack):
    """`./stack down` removes the containers, and the data still exists after the next start."""
    Account.register(stack.url).program.request("POST", POSTS, 201, json={"body": "kept"})
    assert stack("down").returncode == 0
    assert stack.containers() == []
    assert stack("up").returncode == 0
    assert "kept" in requests.get(stack.url + POSTS, timeout=10).text
