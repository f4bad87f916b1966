"""One setting switches the WSGI server, and no saved data is lost."""

import time

import pytest
import requests

from deploy.settings import server_names
from tests.live.stack import smoke
from tests.smoke.account import Account
from tests.smoke.client import POSTS


@pytest.fixture(scope="module")
def stack(make_stack):
    stack = make_stack()
    stack.up()
    stack.account = Account.register(stack.url)
    stack.post = stack.account.program.request("POST", POSTS, 201, json={"body": "written before the switch"}).json()
    return stack


@pytest.mark.parametrize("server", [*server_names(), server_names()[0]])
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


def test_static_without_web(stack):
    """Nginx serves a style sheet while the web container is stopped."""
    await_cached(stack)
    page = requests.get(stack.url, timeout=10).text
    sheet = page.split('<link rel="stylesheet" href="')[1].split('"')[0]
    stack.compose("stop", "web")
    assert requests.get(stack.url + sheet, timeout=10).status_code == 200


def await_cached(stack):
    """Wait until the anonymous front page is in Nginx's cache."""
    deadline = time.monotonic() + 20
    while requests.get(stack.url, timeout=10).headers["X-Cache"] not in ("HIT", "STALE", "UPDATING"):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_cached_pages_without_web(stack):
    """Cached anonymous pages are served stale while the web container is stopped."""
    for _ in range(3):
        answer = requests.get(stack.url, timeout=10)
        assert (answer.status_code, "<h1>Posts</h1>" in answer.text) == (200, True)
        assert answer.headers["X-Cache"] in ("HIT", "STALE", "UPDATING")


@pytest.mark.parametrize("path, kind", [("/search", "text/html"), ("/api/v1/posts", "application/json")])
def test_nginx_error_page(stack, path, kind):
    """Without a web container, Nginx answers 503 with Retry-After and its own error page, or with JSON below /api/."""
    answer = requests.get(stack.url + path, headers={"Cookie": "bypass=cache"}, timeout=10)
    assert answer.status_code == 503
    assert answer.headers["Content-Type"].startswith(kind)
    assert answer.headers["Retry-After"] == "5"
    assert answer.headers["X-Request-ID"] in answer.text


def test_web_comes_back(stack):
    """Nginx uses the restarted web container without a reload."""
    stack.compose("start", "web")
    stack.up()
    assert requests.get(stack.url + POSTS, timeout=10).status_code == 200
