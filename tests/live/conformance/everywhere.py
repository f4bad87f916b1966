"""The probe on every server with and without Nginx in front, for what has to be the same there too."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from deploy import network
from deploy.settings import server_names
from tests.live.conformance.cases import request
from tests.live.conformance.wire import Connection, Response, Silence
from tests.live.stack import Stack

KEEP_ALIVE = 2  # seconds
METHODS = ("GET", "HEAD", "POST", "REPORT")
RECOVERS_WITHIN = 20  # seconds from the death of the only worker process until another one answers


def stacks_without_nginx() -> dict[str, Stack]:
    """The probe on each server without Nginx, and on Apache alone, in one process. Requests are soon stuck."""
    settings = {"WEB_CONCURRENCY": "1", "RELEASE_COMMAND": "true", "REQUEST_TIMEOUT": "2"}
    settings |= {"KEEP_ALIVE": str(KEEP_ALIVE), "ALLOWED_METHODS": ",".join(METHODS)}
    files = ["probe.yml", "ipv6-loopback.yml"] if network.has_ipv6() else ["probe.yml"]
    stacks = {
        f"{name} without Nginx": Stack("without-nginx.yml", *files, WSGI_SERVER=name, **settings)
        for name in server_names()
    }
    return stacks | {"Apache alone": Stack("../../deploy/targets/apache/compose.yml", *files, **settings)}


def on_each(stacks: dict[str, Stack], function: Callable[[Stack], Any]) -> dict[str, Any]:
    """Call the function with each stack, in parallel, and return the results by the server's name."""
    with ThreadPoolExecutor(len(stacks)) as pool:
        return dict(zip(stacks, pool.map(function, stacks.values()), strict=True))


def fetch(stack: Stack, target: str, *headers: str, method: str = "GET") -> Response | None:
    """Return the response to a client that keeps its connection; raise Silence if no end of the response arrives."""
    with Connection(stack.port, timeout=5) as connection:
        connection.send(request(f"{method} {target}", *headers))
        return connection.read(head=method == "HEAD")


def recover(stack: Stack) -> None:
    """Wait until a worker process answers."""
    deadline = time.monotonic() + RECOVERS_WITHIN
    while True:
        try:
            response = fetch(stack, "/ready")
        except (ConnectionError, Silence):
            response = None
        if response and response.status == 200:
            return
        assert time.monotonic() < deadline, response
        time.sleep(0.1)
