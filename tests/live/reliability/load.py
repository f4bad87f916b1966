"""Hundreds of clients in one thread. Each request uses its own connection, directly to Nginx's container.

The published port would distort the results: Docker's proxy runs out of local ports after about 28,000 connections a
minute and then resets connections, which would look like requests lost by the stack.
"""

import asyncio
import time
from dataclasses import dataclass

from tests.live.stack import Stack

TIMEOUT = 60  # seconds for one response, far more than any takes
MEGABYTE = 10**6


@dataclass(frozen=True)
class Answer:
    """A response; status 0 means that the connection was cut before the response was complete."""

    status: int
    seconds: float
    headers: dict[str, str]
    body: bytes


def address(stack: Stack) -> str:
    """Return the address of Nginx's container on its network."""
    return stack.inspect("nginx", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}")


def percentile(answers: list[Answer], share: float) -> float:
    """Return the response time in seconds that this share of the responses does not exceed."""
    seconds = sorted(answer.seconds for answer in answers)
    return seconds[min(len(seconds) - 1, int(len(seconds) * share))]


async def ask(host: str, path: str, body: bytes | None = None, *fields: str) -> Answer:
    """Send a GET, or a POST of JSON if there is a body. `fields` are further header lines."""
    started = time.monotonic()
    try:
        status, headers, answer = await asyncio.wait_for(_exchange(host, path, body, fields), TIMEOUT)
    except (OSError, EOFError, TimeoutError):
        status, headers, answer = 0, {}, b""
    return Answer(status, time.monotonic() - started, headers, answer)


async def _exchange(host: str, path: str, body: bytes | None, fields: tuple[str, ...]):
    reader, writer = await asyncio.open_connection(host, 8080)
    try:
        head = [f"{'GET' if body is None else 'POST'} {path} HTTP/1.1", "Host: probe", "Connection: close", *fields]
        if body is not None:
            head += [f"Content-Length: {len(body)}", "Content-Type: application/json"]
        writer.write("\r\n".join([*head, "", ""]).encode() + (body or b""))
        status, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        rest = await reader.read()
        if len(rest) < int(headers.get("content-length", 0)):
            raise EOFError
        return int(status.split()[1]), headers, rest
    finally:
        writer.close()


async def download(host: str, path: str, rate: float) -> int:
    """Read a response at this rate in MB/s. Return the bytes of its body, without the framing; 0 if it is cut off."""
    reader, writer = await asyncio.open_connection(host, 8080, limit=2**16)
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nHost: probe\r\nConnection: close\r\n\r\n".encode())
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        assert head.startswith(b"http/1.1 200 "), head
        began, size, last, body = time.monotonic(), 0, b"", 0
        while part := await reader.read(2**16):
            size, body, last = size + len(part), body + part.count(b"x"), (last + part)[-5:]
            await asyncio.sleep(began + size / rate / MEGABYTE - time.monotonic())
        is_whole = last == b"0\r\n\r\n" if b"chunked" in head else f"content-length: {body}\r".encode() in head
        return body if is_whole else 0
    finally:
        writer.close()


async def closed_loop(host: str, path: str, clients: int, seconds: float) -> list[Answer]:
    """Run clients that send the next request as soon as they have a response. Their starts are spread over 1 s."""
    end = time.monotonic() + seconds
    answers: list[Answer] = []

    async def client(number: int):
        await asyncio.sleep(number / clients)
        while time.monotonic() < end:
            answers.append(await ask(host, path))

    await asyncio.gather(*(client(number) for number in range(clients)))
    return answers


async def open_loop(host: str, path: str, rate: float, seconds: float) -> list[Answer]:
    """Send new requests at a fixed rate per second, independent of the responses."""
    started = time.monotonic()
    requests = []
    while (passed := time.monotonic() - started) < seconds:
        due = int(passed * rate) - len(requests)
        requests += [asyncio.ensure_future(ask(host, path)) for _ in range(due)]
        await asyncio.sleep(0.005)
    return await asyncio.gather(*requests)
