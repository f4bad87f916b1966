"""What Nginx does elsewhere is the same without it, on a PORT and on Apache alone: idle connections, methods, IPv6."""

import json
import time

import pytest

from deploy import network
from tests.live.conformance.cases import post, request
from tests.live.conformance.everywhere import KEEP_ALIVE, METHODS, fetch, on_each
from tests.live.conformance.wire import Connection
from tests.live.stack import Stack, docker

OVER_IPV6 = "import urllib.request as r; print(r.urlopen('http://[::1]:8080/ready').status)"


def test_keep_alive(without_nginx):
    """An idle connection stays open for KEEP_ALIVE; uWSGI announces that it closes each connection."""

    def idle(stack: Stack) -> tuple[str | None, float]:
        with Connection(stack.port, timeout=20) as connection:
            connection.send(request("GET /ready"))
            announced, began = connection.read().get("connection"), time.monotonic()
            assert connection.read() is None
            return announced, time.monotonic() - began

    for name, (announced, seconds) in on_each(without_nginx, idle).items():
        if name.startswith("uwsgi"):
            assert (announced, seconds < 1) == ("close", True), (name, seconds)
        else:
            assert announced != "close" and KEEP_ALIVE - 0.1 <= seconds < KEEP_ALIVE + 2.5, (name, announced, seconds)


def test_connection_is_reused(without_nginx):
    """Within KEEP_ALIVE the next request on the same connection is answered, and so is one with a body."""

    def requests(stack: Stack) -> list[int]:
        with Connection(stack.port, timeout=20) as connection:
            statuses = []
            for payload in (request("GET /ready"), post("Content-Length: 3"), request("GET /ready")):
                connection.send(payload)
                statuses.append(connection.read().status)
            return statuses

    servers = {name: stack for name, stack in without_nginx.items() if not name.startswith("uwsgi")}
    assert on_each(servers, requests) == dict.fromkeys(servers, [200] * 3)


def test_methods(without_nginx):
    """ALLOWED_METHODS reach the app; every other method gets 405."""
    for method in (*METHODS, "DELETE", "PROPFIND"):

        def ask(stack: Stack, method=method) -> tuple[int, str]:
            response = fetch(stack, "/x", "Content-Length: 0", method=method)
            return response.status, json.loads(response.body)["REQUEST_METHOD"] if response.body[:1] == b"{" else ""

        expected = (405, "") if method not in METHODS else (200, method if method != "HEAD" else "")
        assert on_each(without_nginx, ask) == dict.fromkeys(without_nginx, expected), method


@pytest.mark.skipif(not network.has_ipv6(), reason="the kernel has no IPv6")
def test_ipv6(without_nginx):
    """Each server listens on IPv6 too."""

    def over_ipv6(stack: Stack) -> str:
        return stack.compose("exec", "-T", "web", "python3", "-c", OVER_IPV6).stdout.strip()

    assert on_each(without_nginx, over_ipv6) == dict.fromkeys(without_nginx, "200")


def test_restart_after_a_long_stop(without_nginx):
    """A container that starts after a long stop becomes healthy: its health check ignores the last heartbeat before.

    Apache alone has none, since it has no folder for sockets.
    """

    def restart(stack: Stack) -> bytes:
        stack.compose("exec", "-T", "web", "sh", "-c", "touch -d '1 hour ago' /run/tripod/*.heartbeat")
        docker("restart", stack.container("web"))
        stack.up()
        return fetch(stack, "/ready").body

    servers = {name: stack for name, stack in without_nginx.items() if name != "Apache alone"}
    assert on_each(servers, restart) == dict.fromkeys(servers, b'"ready"')
