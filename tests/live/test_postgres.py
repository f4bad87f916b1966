"""The profile `postgres`: the app on PostgreSQL in a container of the stack."""

import time

import pytest
import requests

from tests.live.stack import check, docker


@pytest.fixture(scope="module")
def stack(make_stack):
    return make_stack(COMPOSE_PROFILES="postgres")


def test_posts_are_stored_in_postgres(stack, server):
    """With the profile `postgres`, every server stores posts in PostgreSQL, without a password or a port."""
    stack.up(WSGI_SERVER=server)
    check(stack.url, server)
    query = ["psql", "-h", "/run/postgresql", "-At", "tripod", "-c", "select body from post"]
    assert f"written with {server}" in docker("exec", stack.container("postgres"), *query).stdout


def test_cold_start_in_any_order(stack):
    """Nginx starts without the app and answers 503; the app starts without its database and serves once it is up."""
    stack.up()
    stack.compose("stop")
    stack.compose("up", "--detach", "--no-build", "--no-deps", "--wait", "nginx")
    # With a cookie, because the cache of Nginx may contain the page.
    assert requests.get(stack.url, headers={"Cookie": "bypass=cache"}, timeout=20).status_code == 503
    stack.compose("up", "--detach", "--no-build", "--no-deps", "web")
    stack.compose("start", "postgres")
    deadline = time.monotonic() + 60
    while requests.get(stack.url, headers={"Cookie": "bypass=cache"}, timeout=20).status_code != 200:
        assert time.monotonic() < deadline, stack.logs("web")
        time.sleep(0.1)
