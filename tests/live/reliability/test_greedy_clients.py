"""What one client takes is bounded, and what a slow one takes is Nginx's, never a worker's."""

import asyncio
import socket

import pytest

from tests.live.reliability import load
from tests.live.stack import docker

RATE, CONNECTIONS = 20, 30
SLOW = 450
CROWD = 200
HOLD = 5  # seconds; half of what Nginx waits for the next part
SECTION = "Greedy and slow clients"


@pytest.fixture(scope="module")
def limited(make_stack):
    stack = make_stack(
        "probe.yml",
        CLIENT_RATE=str(RATE),
        CLIENT_CONNECTIONS=str(CONNECTIONS),
        TRUSTED_PROXIES="2",
        RELEASE_COMMAND="true",
    )
    stack.up()
    return load.address(stack)


@pytest.fixture(scope="module")
def stack(make_stack):
    """With the defaults."""
    stack = make_stack("probe.yml", RELEASE_COMMAND="true")
    stack.up()
    return stack


async def at_once(host: str, number: int, path: str, client: str) -> list[load.Answer]:
    """So many requests at the same moment, of a client as the proxy in front of Nginx names it."""
    return await asyncio.gather(*(load.ask(host, path, None, f"X-Forwarded-For: {client}") for _ in range(number)))


def test_rate(limited):
    """Beyond CLIENT_RATE a client gets 429 with Retry-After in the stack's look, whatever it invents in front of its
    address; another client is served.
    """

    async def both() -> tuple[list[load.Answer], list[load.Answer]]:
        greedy = await at_once(limited, 3 * RATE, "/x", "203.0.113.66, 198.51.100.7")
        greedy += await at_once(limited, 5, "/x", "192.0.2.1, 198.51.100.7")
        return greedy, await at_once(limited, 5, "/x", "198.51.100.8")

    greedy, other = asyncio.run(both())
    refused = [answer for answer in greedy if answer.status == 429]
    assert {answer.status for answer in greedy} == {200, 429} and len(refused) >= RATE
    assert {answer.headers["retry-after"] for answer in refused} == {"1"}
    assert {answer.headers["content-type"] for answer in refused} == {"text/html"}
    assert {answer.status for answer in other} == {200}


def test_connections(limited):
    """Beyond CLIENT_CONNECTIONS requests open at once a client gets 429, also for files; another one is served."""

    async def both() -> tuple[list[load.Answer], load.Answer]:
        head = b"POST /x HTTP/1.1\r\nHost: probe\r\nContent-Length: 9\r\nX-Forwarded-For: 198.51.100.9\r\n\r\n"
        held = [await asyncio.open_connection(limited, 8080) for _ in range(CONNECTIONS)]
        for _, writer in held:
            writer.write(head)
        await asyncio.sleep(0.5)
        refused = await at_once(limited, 3, "/static/x.css", "198.51.100.9")
        other = await load.ask(limited, "/x", None, "X-Forwarded-For: 198.51.100.10")
        for _, writer in held:
            writer.close()
        return refused, other

    refused, other = asyncio.run(both())
    assert {answer.status for answer in refused} == {429}
    assert other.status == 200


async def slow_headers(reader, writer):
    writer.write(b"GET /x HTTP/1.1\r\nHost: probe\r\n")
    for number in range(HOLD):
        writer.write(b"X-%d: slow\r\n" % number)
        await asyncio.sleep(1)


async def slow_body(reader, writer):
    writer.write(b"POST /x HTTP/1.1\r\nHost: probe\r\nContent-Length: 100000\r\n\r\n")
    for _ in range(HOLD):
        writer.write(b"x")
        await asyncio.sleep(1)


async def slow_read(reader, writer):
    """Asks for 100 kB and takes a kilobyte a second."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    writer.write(b"GET /stream HTTP/1.1\r\nHost: probe\r\n\r\n")
    for _ in range(HOLD):
        await reader.read(1024)
        await asyncio.sleep(1)


async def besides(host: str, slow) -> list[load.Answer]:
    """What four good clients get while so many slow ones hold their connections."""

    async def client(number: int):
        await asyncio.sleep(number / SLOW)
        reader, writer = await asyncio.open_connection(host, 8080, limit=1024)
        try:
            await slow(reader, writer)
        finally:
            writer.close()

    clients = [asyncio.ensure_future(client(number)) for number in range(SLOW)]
    await asyncio.sleep(1.5)
    answers = await load.closed_loop(host, "/sleep/0.05", 4, HOLD - 2)
    assert sum(not one.done() for one in clients) == SLOW, "the slow clients were already gone"
    await asyncio.gather(*clients, return_exceptions=True)
    return answers


@pytest.mark.parametrize("slow", [slow_headers, slow_body, slow_read])
def test_slow_clients(stack, slow, record):
    """450 clients that send their head, send their body or read as slowly as they may cost good clients nothing."""
    host = load.address(stack)
    idle = load.percentile(asyncio.run(load.closed_loop(host, "/sleep/0.05", 4, 2)), 0.99)
    answers = asyncio.run(besides(host, slow))
    failed = sum(answer.status != 200 for answer in answers)
    record(
        SECTION,
        f"good requests beside {SLOW} clients with {slow.__name__.replace('_', ' ')}",
        len(answers),
        failed,
        f"99 % in {load.percentile(answers, 0.99):.3f} s, without the slow ones {idle:.3f} s",
    )
    assert failed == 0 and len(answers) > 50
    # The promise is twice; the rest is for a machine that has other things to do while it is measured.
    assert load.percentile(answers, 0.99) < 2 * idle + 0.5


def test_more_connections_than_descriptors(make_stack, record):
    """When more clients come than Nginx has file descriptors for, it answers or refuses each of them; as soon as they
    have gone all is as before, and no process of Nginx's has died.
    """
    stack = make_stack("probe.yml", "few-descriptors.yml", RELEASE_COMMAND="true")
    stack.up()
    host, nginx = load.address(stack), stack.container("nginx")

    async def crowd() -> list[load.Answer]:
        """As many requests at once as clients that say nothing."""
        idle = [await asyncio.open_connection(host, 8080) for _ in range(CROWD)]
        asked = asyncio.gather(*(load.ask(host, "/sleep/0.1") for _ in range(CROWD)))
        await asyncio.sleep(1)
        for _, writer in idle:
            writer.close()
        return await asked

    def processes() -> str:
        return docker("top", nginx, "-o", "pid").stdout

    before = processes()
    answers = asyncio.run(crowd())
    after = asyncio.run(load.closed_loop(host, "/sleep/0.05", 4, 1))
    served = sum(answer.status == 200 for answer in answers)
    record(
        SECTION,
        f"requests after {CROWD} of each kind came to an Nginx of 64 descriptors",
        len(after),
        sum(answer.status != 200 for answer in after),
        f"of those in the crowd {served} were served",
    )
    assert {answer.status for answer in answers} <= {200, 503}
    assert {answer.headers["retry-after"] for answer in answers if answer.status == 503} <= {"5"}
    assert {answer.status for answer in after} == {200}
    assert "Too many open files" in docker("logs", nginx).stderr
    assert processes() == before
