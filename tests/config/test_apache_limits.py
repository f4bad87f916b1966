"""Apache alone: one client address does not stop the others, neither with slow uploads nor with half-sent headers."""

import socket
import tempfile
import threading
import time
from pathlib import Path

import pytest

from tests.config.test_front import Front

ATTACKER = "127.0.0.2"  # the other clients have 127.0.0.1
SECONDS = 5
# Connections, and what each sends. Without limits 8 slow uploads occupy all threads of the app, and 128 connections all
# of Apache.
ATTACKS = {
    "slow uploads": (40, b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n\r\n"),
    "half-sent headers": (300, b"GET / HTTP/1.1\r\nHost: x\r\nX: "),
}


@pytest.fixture(scope="module")
def apache():
    """Apache alone, to which clients connect directly."""
    with tempfile.TemporaryDirectory() as folder:
        front = Front("apache", Path(folder), TRUSTED_PROXIES="0")
        front.ask(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        yield front
        front.stop()


def attack(port: int, head: bytes, opened: threading.Semaphore, end: float) -> None:
    """Keep one connection open that sends a few bytes at a time, and renew it when Apache closes it."""
    while time.monotonic() < end:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=5, source_address=(ATTACKER, 0)) as connection:
                connection.sendall(head)
                opened.release()
                while time.monotonic() < end:
                    connection.sendall(b"a" * 500)
                    time.sleep(0.3)
        except OSError:
            time.sleep(0.1)


@pytest.mark.parametrize("name", ATTACKS)
@pytest.mark.needs("apache2")
def test_one_address_does_not_stop_the_others(apache, name):
    """While one address holds as many connections as it can, every request of another address is answered with 200."""
    number, head = ATTACKS[name]
    opened, end = threading.Semaphore(0), time.monotonic() + SECONDS
    attackers = [threading.Thread(target=attack, args=(apache.port, head, opened, end)) for _ in range(number)]
    for thread in attackers:
        thread.start()
    for _ in range(min(number, 60)):
        assert opened.acquire(timeout=SECONDS)
    statuses = []
    while time.monotonic() < end:
        statuses.append(apache.ask(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")[0])
        time.sleep(0.05)
    for thread in attackers:
        thread.join()
    assert len(statuses) > 10
    assert set(statuses) == {200}
