"""Clients that pause in the middle of a request or a response, as on a slow or interrupted network, are served."""

import random
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.live.conformance.cases import post, request
from tests.live.conformance.everywhere import on_each
from tests.live.conformance.wire import Connection

BODY = random.Random(1).randbytes(200_000)
SHORT_PAUSE = 0.5  # seconds; less than REQUEST_TIMEOUT of the stacks without Nginx
MEGABYTES = 20  # more than the buffers of the sockets and Nginx's memory hold


@pytest.fixture(scope="module")
def pause(is_long) -> int:
    """Seconds. tests/config/test_servers.py has Nginx's limits, which the long pause is just below."""
    return 55 if is_long else 3


def pause_in_headers(port: int, seconds: float) -> tuple[int, bool]:
    head = request("GET /x", "Connection: close")
    return _in_two_parts(port, head[:-10], seconds, head[-10:])


def pause_in_body(port: int, seconds: float) -> tuple[int, bool]:
    whole = post(f"Content-Length: {len(BODY)}", "Connection: close", body=BODY)
    return _in_two_parts(port, whole[:100_000], seconds, whole[100_000:])


def _in_two_parts(port: int, first: bytes, seconds: float, second: bytes) -> tuple[int, bool]:
    with Connection(port, timeout=20) as connection:
        connection.send(first)
        time.sleep(seconds)
        connection.send(second)
        response = connection.read()
    return response.status, response.whole


def pause_in_response(port: int, seconds: float) -> tuple[int, bool]:
    """Read the beginning of a download, and the rest after the pause. The client's own buffer is small."""
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        client.settimeout(20)
        client.connect(("127.0.0.1", port))
        client.sendall(request(f"GET /big?mb={MEGABYTES}&length", "Connection: close"))
        head, _, body = client.recv(65536).partition(b"\r\n\r\n")
        time.sleep(seconds)
        size = len(body)
        while data := client.recv(2**20):
            size += len(data)
    return int(head.split()[1]), size == MEGABYTES * 10**6


PAUSES = (pause_in_headers, pause_in_body, pause_in_response)


def test_paused_clients_are_served(stacks, fleet, table, pause):
    """A client that pauses within the headers, an upload or a download is served, and the app gets whole bodies."""
    behind_nginx = {server.stack for server in fleet.servers}

    def pauses(stack) -> list[tuple[int, bool]]:
        seconds = pause if stack in behind_nginx else SHORT_PAUSE
        with ThreadPoolExecutor() as pool:
            return list(pool.map(lambda kind: kind(stack.port, seconds), PAUSES))

    assert on_each(stacks, pauses) == dict.fromkeys(stacks, [(200, True)] * len(PAUSES))
    for name, seen in fleet.on_each(lambda server: server.seen()).items():
        assert sorted(request.length for request in seen) == [0, 0, len(BODY)], name
    table.add(
        "Bodies and connections",
        "clients that pause in the headers, an upload or a download",
        "200, whole",
        {server.name: f"= {len(PAUSES)}" for server in fleet.servers},
        len(PAUSES),
    )
