"""Nginx while the web container is stopped, and after it has been started again."""

import time

import pytest
import requests

from tests.smoke.client import POSTS


@pytest.fixture(scope="module")
def stack(make_stack):
    """A stack whose web container is stopped after the home page was cached. Its attribute `page` is that page."""
    stack = make_stack()
    stack.up()
    stack.page = cached_page(stack)
    stack.compose("stop", "web")
    return stack


def cached_page(stack) -> str:
    """Return the anonymous home page as soon as Nginx's cache contains it."""
    deadline = time.monotonic() + 20
    while (answer := requests.get(stack.url, timeout=10)).headers["X-Cache"] not in ("HIT", "STALE", "UPDATING"):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return answer.text


def test_static_without_web(stack):
    """Nginx serves a style sheet while the web container is stopped."""
    sheet = stack.page.split('<link rel="stylesheet" href="')[1].split('"')[0]
    assert requests.get(stack.url + sheet, timeout=10).status_code == 200


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
    stack.compose("stop", "web")
