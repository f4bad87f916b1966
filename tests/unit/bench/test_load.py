"""./stack bench: the load generators, with a server whose behaviour is known."""

import asyncio
import contextlib
import queue
import threading
from collections.abc import Awaitable, Callable, Iterator

import pytest

from bench.closed_loop import CLIENTS, closed_loop
from bench.open_loop import Target, open_loop
from bench.workloads import JSON

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
HOME = Target("/")

pytestmark = pytest.mark.needs("python")  # timerfd: 3.13


class Server:
    """Answers each request with what `answer` returns. Counts connections and requests, those in progress included."""

    def __init__(self, answer: Callable[["Server", bytes], Awaitable[bytes]]):
        self.connections = self.requests = 0
        self._answer = answer

    async def serve(self, reader, writer):
        self.connections += 1
        try:
            while request := await reader.readuntil(b"\r\n\r\n"):
                self.requests += 1
                response = await self._answer(self, request)
                writer.write(response)
                if b"Connection: close" in response or not response:
                    break
        except (OSError, asyncio.IncompleteReadError):
            pass  # the client has closed the connection
        finally:
            writer.close()

    async def run(self, address: queue.Queue) -> None:
        """Serve until `stop` is called. Puts the port into `address`."""
        self._loop, self._stopped = asyncio.get_running_loop(), asyncio.Event()
        listener = await asyncio.start_server(self.serve, "127.0.0.1", 0, backlog=1000)
        address.put(listener.sockets[0].getsockname()[1])
        await self._stopped.wait()
        listener.close()

    def stop(self) -> None:
        """Make `run` return."""
        self._loop.call_soon_threadsafe(self._stopped.set)


@contextlib.contextmanager
def running(answer) -> Iterator[tuple[Server, str]]:
    """A server in a thread, and its URL."""
    server, address = Server(answer), queue.Queue()
    thread = threading.Thread(target=lambda: asyncio.run(server.run(address)))
    thread.start()
    try:
        yield server, f"http://127.0.0.1:{address.get(timeout=10)}"
    finally:
        server.stop()
        thread.join()


async def at_once(server, request):
    return OK


async def after_50_ms(server, request):
    await asyncio.sleep(0.05)
    return OK


async def with_one_stall(server, request):
    if server.requests == 20:
        await asyncio.sleep(0.5)
    return OK


def test_open_loop_sends_at_the_rate_of_the_schedule():
    """Every request is due at its place in the schedule, and the targets are requested in turn."""
    with running(at_once) as (server, url):
        responses = open_loop(url, [HOME, Target("/other", "a=b")], rate=200, seconds=0.5)
    assert [response.due for response in responses] == [number / 200 for number in range(100)]
    assert [response.path for response in responses] == ["/", "/other"] * 50
    assert {response.status for response in responses} == {200} and server.requests == 100


def test_open_loop_counts_the_delay_of_requests_that_could_not_be_sent():
    """If the server stalls for 0.5 s, every request that was due meanwhile counts with its delay, not only one."""
    with running(with_one_stall) as (_, url):
        responses = open_loop(url, [HOME], rate=100, seconds=1, clients=1)
    late = [response for response in responses if response.latency > 0.1]
    assert len(late) >= 35, sorted(response.latency for response in responses)
    assert max(response.latency for response in responses) >= 0.5


def test_open_loop_does_not_wait_for_a_slow_server():
    """Without a limit of clients a request is sent when it is due, whether or not others have been answered."""
    with running(after_50_ms) as (server, url):
        responses = open_loop(url, [HOME], rate=200, seconds=0.5)
    assert server.connections >= 5
    assert {response.status for response in responses} == {200}


def test_open_loop_keeps_connections_alive():
    """All requests are sent on at most `clients` connections."""
    with running(after_50_ms) as (server, url):
        responses = open_loop(url, [HOME], rate=100, seconds=0.5, clients=3)
    assert server.connections == 3 and len(responses) == server.requests == 50


@pytest.mark.parametrize(
    "response, status",
    [
        (b"HTTP/1.1 503 Service Unavailable\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n", 503),
        (b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", 204),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok", 200),
        (b"", 0),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nConnection: close\r\n\r\nok", 0),
    ],
    ids=["chunked", "empty", "connection closed", "no response", "incomplete response"],
)
def test_open_loop_recognizes_every_end_of_a_response(response, status):
    """Refused, closed and missing responses are recognized at once, and the following requests are sent."""

    async def answer(server, request):
        return response

    with running(answer) as (server, url):
        responses = open_loop(url, [HOME], rate=100, seconds=0.2, clients=2)
    assert {response.status for response in responses} == {status} and server.requests == 20
    assert max(response.latency for response in responses) < 5, "it waited for the timeout"


def test_open_loop_without_a_server():
    """Connections that are refused are missing responses, and do not hold up the requests after them."""
    responses = open_loop("http://127.0.0.1:1", [HOME], rate=10_000, seconds=0.01, clients=1)
    assert [response.status for response in responses] == [0] * 100
    assert max(response.latency for response in responses) < 5, "it waited for the timeout"


@pytest.mark.needs("wrk")
def test_closed_loop_counts_requests_and_cost_in_the_same_window():
    """The counted requests are those of the window in which the meter was read: none before it, none after it."""
    with running(after_50_ms) as (server, url):
        load = closed_loop(url, JSON, 1, lambda: server.requests)
    assert abs(load.used - load.requests) <= CLIENTS
    assert server.requests > load.requests + 2 * CLIENTS, "the load before the window was counted"
    assert CLIENTS <= load.requests <= CLIENTS / 0.05 and load.errors == 0


@pytest.mark.needs("wrk")
def test_closed_loop_counts_errors():
    """Responses other than 2xx and 3xx are errors."""

    async def answer(server, request):
        return OK.replace(b"200 OK", b"500 Error") if server.requests % 10 == 0 else OK

    with running(answer) as (_, url):
        assert closed_loop(url, JSON, 0.2).errors > 0
