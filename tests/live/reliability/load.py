"""Clients by the hundred, in one thread: each request on a connection of its own, straight to Nginx's container.

Not by the published port: Docker's proxy behind it runs out of local ports after some 28,000 connections a minute and
then resets clients, which would look like requests that the stack has lost.
"""

import asyncio
import time
from dataclasses import dataclass

from tests.live.stack import Stack

PATIENCE = 60  # seconds for one answer, far more than any takes


@dataclass(frozen=True)
class Answer:
    """What one client got; status 0 when the connection was cut before an answer was whole."""

    status: int
    seconds: float
    headers: dict[str, str]
    body: bytes


def address(stack: Stack) -> str:
    """Where Nginx's container is, seen from this machine."""
    return stack.inspect("nginx", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}")


def percentile(answers: list[Answer], share: float) -> float:
    """The seconds within which this share of the answers came."""
    seconds = sorted(answer.seconds for answer in answers)
    return seconds[min(len(seconds) - 1, int(len(seconds) * share))]


async def ask(host: str, path: str, body: bytes | None = None, *fields: str) -> Answer:
    """One GET, or one POST of JSON; `fields` are more lines of the request's head."""
    started = time.monotonic()
    try:
        status, headers, answer = await asyncio.wait_for(_exchange(host, path, body, fields), PATIENCE)
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


async def closed_loop(host: str, path: str, clients: int, seconds: float) -> list[Answer]:
    """So many clients that ask again as soon as they have their answer; they begin one after the other in a second."""
    end = time.monotonic() + seconds
    answers: list[Answer] = []

    async def client(number: int):
        await asyncio.sleep(number / clients)
        while time.monotonic() < end:
            answers.append(await ask(host, path))

    await asyncio.gather(*(client(number) for number in range(clients)))
    return answers


async def open_loop(host: str, path: str, rate: float, seconds: float) -> list[Answer]:
    """So many new requests a second, whatever becomes of those before them."""
    started = time.monotonic()
    asked = []
    while (passed := time.monotonic() - started) < seconds:
        due = int(passed * rate) - len(asked)
        asked += [asyncio.ensure_future(ask(host, path)) for _ in range(due)]
        await asyncio.sleep(0.005)
    return await asyncio.gather(*asked)
