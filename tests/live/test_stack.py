"""./stack as people use it, on an engine that is there: what it starts, what it says, and how it refuses."""

import os
import re
import secrets
import socket

import pytest
import requests

from deploy.settings import server_names
from tests.live.stack import StackCommand
from tests.smoke.account import Account
from tests.smoke.client import POSTS
from tests.support.ports import free_port


@pytest.fixture(scope="module")
def stack():
    stack = StackCommand(f"tripod-test-{secrets.token_hex(4)}", free_port())
    yield stack
    stack("down", "--volumes", "--yes")


def test_up_ends_with_a_page(stack):
    """`./stack up` ends with the URL of a page, the server that answers, and what to do next."""
    done = stack("up")
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(rf"{stack.url} +answered by gunicorn", done.stdout)
    assert "./stack smoke" in done.stdout
    assert requests.get(stack.url, timeout=10).status_code == 200


def test_second_up_changes_nothing(stack):
    """A second `./stack up` leaves the containers as they are."""
    before = stack.containers()
    assert stack("up").returncode == 0
    assert stack.containers() == before


def test_status(stack):
    """`./stack status` says what runs and who answers."""
    done = stack("status")
    assert done.returncode == 0
    assert "healthy" in done.stdout and f"{stack.url}   answered by gunicorn" in done.stdout


def test_smoke(stack):
    """`./stack smoke` finds the running stack by itself; the wrong server is an error."""
    assert stack("smoke", "--expect-server", "gunicorn").returncode == 0
    assert stack("smoke", "--expect-server", "uwsgi").returncode == 1


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
    """A wrong setting is refused with what to type, and the running stack stays as it is."""
    before = stack.containers()
    done = stack(*args, **env)
    assert done.returncode == status
    assert [word for word in expected if word not in done.stderr] == []
    assert stack.containers() == before


def test_port_taken(stack):
    """A taken HTTP_PORT is named together with the process that holds it."""
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = str(holder.getsockname()[1])
        done = stack("up", HTTP_PORT=port)
    assert done.returncode == 1
    assert f"Port {port} is taken by" in done.stderr and f"(pid {os.getpid()})" in done.stderr


def test_app_that_cannot_be_imported(stack):
    """An app that can't be imported ends its container; ./stack names the app and shows the traceback's end."""
    done = stack("up", WSGI_APP="app.wsgi:missing")
    assert done.returncode == 1
    said = done.stdout + done.stderr
    assert "app.wsgi:missing cannot be loaded: AttributeError" in said and "web" in done.stderr


def test_up_mends_it(stack):
    """The next `./stack up` with good settings puts things right."""
    assert stack("up").returncode == 0
    assert requests.get(stack.url + POSTS, timeout=10).status_code == 200


def test_down_keeps_data(stack):
    """`./stack down` ends the containers, and data is still there after the next start."""
    Account.register(stack.url).program.request("POST", POSTS, 201, json={"body": "kept"})
    assert stack("down").returncode == 0
    assert stack.containers() == []
    assert stack("up").returncode == 0
    assert "kept" in requests.get(stack.url + POSTS, timeout=10).text
