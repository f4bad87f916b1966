"""Open-loop load: GET requests at a constant rate, whether or not earlier ones have been answered.

Request one or more URLs in turn, and print the rate and the latencies of each path:

    python3 -m bench.open_loop --rate 500 --seconds 5 --clients 16 http://127.0.0.1:8080/ [URL ...]

The latency of a request counts from the time when it was due. So while a server stalls, the requests that cannot be
sent count with their whole delay. The load generators that Debian packages count from the time of sending and leave the
delay out ("coordinated omission").
"""

import argparse
import asyncio
import os
import statistics
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

TIMEOUT = 10  # seconds; a later response counts as missing


@dataclass(frozen=True)
class Target:
    """What a request asks for."""

    path: str
    cookie: str = ""

    def encode(self) -> bytes:
        """The request as bytes."""
        cookie = f"Cookie: {self.cookie}\r\n" if self.cookie else ""
        return f"GET {self.path} HTTP/1.1\r\nHost: bench\r\n{cookie}\r\n".encode()


@dataclass
class Response:
    """The response to one request. Times are in seconds.

    due: when the request was due, since the start. lag: how much later the load generator was. latency: from the due
    time to the end of the response. status: 0 as long as there is no response.
    """

    path: str
    due: float
    lag: float
    latency: float = TIMEOUT
    status: int = 0


class _Connection(asyncio.Protocol):
    """A keep-alive connection, which has one request at a time."""

    def __init__(self, load: "_Load", request: bytes, response: Response):
        self._load, self._first_request, self._received = load, request, b""
        self._response: Response | None = response  # None: idle

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        transport.write(self._first_request)

    def send(self, request: bytes, response: Response) -> None:
        """Send a request; its result is written to `response`."""
        self._response, self._received = response, b""
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, separator, body = self._received.partition(b"\r\n\r\n")
        head = head.lower()
        if not self._response or not separator or not _is_complete(head, body):
            return
        self._load.end(self._response, int(head[9:12]))
        self._response = None
        if b"\r\nconnection: close" in head:
            self._transport.close()
        else:
            self._load.reuse(self)

    def connection_lost(self, error: Exception | None) -> None:
        if self._response:
            self._load.end(self._response, 0)
        self._load.forget(self)

    def close(self) -> None:
        """Close the connection, also during a request."""
        self._transport.abort()


def _is_complete(head: bytes, body: bytes) -> bool:
    if b"\r\ntransfer-encoding: chunked" in head:
        return body.endswith(b"0\r\n\r\n")
    return len(body) >= int(head.partition(b"\r\ncontent-length:")[2].partition(b"\r\n")[0])


class _Load:
    """The connections of one run, and the requests that wait for one of them."""

    def __init__(self, host: str, port: int, clients: int | None):
        self._address, self._clients = (host, port), clients
        self._connections = 0  # including those that are being established
        self._open: set[_Connection] = set()
        self._idle: list[_Connection] = []
        self._waiting: deque[tuple[bytes, Response]] = deque()
        self._connecting: set[asyncio.Task] = set()
        self._began = time.monotonic()
        self.unanswered = 0

    def now(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._began

    def send(self, request: bytes, response: Response) -> None:
        """Send a request on an idle connection, or on a new one. If all `clients` are busy, it waits for one."""
        self.unanswered += 1
        self._assign(request, response)

    def _assign(self, request: bytes, response: Response) -> None:
        if self._idle:
            self._idle.pop().send(request, response)
        elif self._clients is None or self._connections < self._clients:
            self._connections += 1
            task = asyncio.get_running_loop().create_task(self._connect(request, response))
            self._connecting.add(task)
            task.add_done_callback(self._connecting.discard)
        else:
            self._waiting.append((request, response))

    async def _connect(self, request: bytes, response: Response) -> None:
        loop = asyncio.get_running_loop()
        try:
            _, connection = await loop.create_connection(lambda: _Connection(self, request, response), *self._address)
            self._open.add(connection)
        except OSError:
            self.end(response, 0)
            self._replace()

    def end(self, response: Response, status: int) -> None:
        """Note the end of a response. Status 0: the connection ended before."""
        response.status, response.latency = status, self.now() - response.due
        self.unanswered -= 1

    def reuse(self, connection: _Connection) -> None:
        """Send the next request on this connection, when there is one."""
        if self._waiting:
            connection.send(*self._waiting.popleft())
        else:
            self._idle.append(connection)

    def forget(self, connection: _Connection) -> None:
        """Replace a connection that has ended, if a request waits for one."""
        self._open.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        self._replace()

    def _replace(self) -> None:
        self._connections -= 1
        if self._waiting:
            self._assign(*self._waiting.popleft())

    def close(self) -> None:
        """Close all connections."""
        self._waiting.clear()
        for connection in list(self._open):
            connection.close()


async def _run(url: str, targets: Sequence[Target], rate: float, seconds: float, clients: int | None) -> list[Response]:
    address = urlsplit(url)
    assert address.hostname and address.port
    requests = [(target.path, target.encode()) for target in targets]
    total, responses = round(rate * seconds), []
    load = _Load(address.hostname, address.port, clients)
    finished = asyncio.Event()

    def send_due_requests() -> None:
        os.read(timer, 8)
        now = load.now()
        while len(responses) < total and (due := len(responses) / rate) <= now:
            path, request = requests[len(responses) % len(requests)]
            responses.append(Response(path, due, now - due))
            load.send(request, responses[-1])
        if len(responses) == total:
            finished.set()

    # The timer of asyncio has a resolution of 1 ms, which would be most of the latency of a fast view.
    timer = os.timerfd_create(time.CLOCK_MONOTONIC)
    os.timerfd_settime(timer, initial=1e-6, interval=1 / rate)
    loop = asyncio.get_running_loop()
    loop.add_reader(timer, send_due_requests)
    await finished.wait()
    loop.remove_reader(timer)
    os.close(timer)
    while load.unanswered and load.now() < seconds + TIMEOUT:
        await asyncio.sleep(0.01)
    load.close()
    return responses


@contextmanager
def _priority() -> Iterator[None]:
    """Run before other processes, so that the latency contains as little as possible of the load generator's own."""
    before = os.getpriority(os.PRIO_PROCESS, 0)
    with suppress(PermissionError):  # it needs root, which the benchmark has; otherwise the lag is larger
        os.setpriority(os.PRIO_PROCESS, 0, -20)
    try:
        yield
    finally:
        os.setpriority(os.PRIO_PROCESS, 0, before)


def open_loop(
    url: str, targets: Sequence[Target], rate: float, seconds: float, clients: int | None = None
) -> list[Response]:
    """Send `rate` requests per second to the targets in turn, and return all responses once they have arrived.

    Connections are kept alive and used again. clients: their maximum number; None: a new one if all are busy.
    """
    with _priority():
        return asyncio.run(_run(url, targets, rate, seconds, clients))


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that at least `percent` of all values do not exceed; 0 without values."""
    ranked = sorted(values)
    return ranked[max(0, -int(-len(ranked) * percent // 100) - 1)] if ranked else 0.0


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(prog="python3 -m bench.open_loop")
    parser.add_argument("--rate", type=float, required=True, help="requests per second, all URLs together")
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--clients", type=int, help="maximum number of connections; default: unlimited")
    parser.add_argument("--cookie", default="")
    parser.add_argument("url", nargs="+")
    args = parser.parse_args()
    addresses = [urlsplit(url) for url in args.url]
    targets = [Target(address.path or "/", args.cookie) for address in addresses]
    responses = open_loop(args.url[0], targets, args.rate, args.seconds, args.clients)
    for path in dict.fromkeys(target.path for target in targets):
        own = [response for response in responses if response.path == path]
        ok = [response.latency * 1000 for response in own if response.status == 200]
        refused = sum(response.status == 503 for response in own)
        figures = ", ".join(f"p{percent:g} {percentile(ok, percent):.1f}" for percent in (50, 90, 99, 99.9))
        print(f"{path}: {len(ok)} × 200, {figures} ms; {refused} × 503; {len(own) - len(ok) - refused} failed")
    lag = [response.lag * 1000 for response in responses]
    print(f"lag of the load generator: p50 {statistics.median(lag):.2f}, p99 {percentile(lag, 99):.2f} ms")


if __name__ == "__main__":
    main()
