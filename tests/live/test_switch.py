"""One setting switches the WSGI server, and no saved data is lost."""

import pytest
import requests

from deploy.settings import server_names
from tests.live.stack import smoke
from tests.smoke.account import Account
from tests.smoke.client import POSTS


@pytest.fixture(scope="module")
def stack(make_stack):
    stack = make_stack(WSGI_SERVER=server_names()[-1])  # so that each test below switches to another server
    stack.up()
    stack.account = Account.register(stack.url)
    stack.post = stack.account.program.request("POST", POSTS, 201, json={"body": "written before the switch"}).json()
    return stack


@pytest.mark.parametrize("server", server_names())
def test_switch(stack, server):
    """WSGI_SERVER alone switches the server: the smoke tests pass, and posts, sessions and tokens are still valid."""
    stack.up(WSGI_SERVER=server)
    answer = requests.get(f"{stack.url}/healthz", timeout=10).json()
    assert answer["wsgi_server"] == server
    assert stack.account.program.get(f"{POSTS}/{stack.post['id']}").json() == stack.post
    for visitor in (stack.account.browser, stack.account.program):
        assert visitor.get("/api/v1/me").json()["username"] == stack.account.username
    done = smoke(stack.url, "--expect-server", server)
    assert done.returncode == 0, done.stdout + done.stderr


def test_second_up_changes_nothing(stack):
    """A second `docker compose up` leaves the running containers as they are."""
    before = [stack.container(service) for service in ("nginx", "web")]
    stack.up()
    assert [stack.container(service) for service in ("nginx", "web")] == before
