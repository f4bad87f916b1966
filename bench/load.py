"""Load from outside of the containers: wrk for as many clients as ask again at once, a clock for a given rate."""

import asyncio
import json
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from bench.setups import Work

SCRIPT = Path(__file__).with_name("wrk.lua")
PATIENCE = 10  # seconds for an answer; later ones count as errors


@dataclass(frozen=True)
class Load:
    """What a round of load has seen. Times in ms; errors are answers that are not 2xx, and none at all."""

    requests: int
    seconds: float
    errors: int
    p50: float
    p99: float

    @property
    def rate(self) -> float:
        """Answers in a second."""
        return (self.requests - self.errors) / self.seconds


def closed(url: str, work: Work, seconds: float, clients: int = 0) -> Load:
    """`clients` connections that are kept, each with one request on its way at any time."""
    clients = clients or work.clients
    command = [
        "wrk",
        "--threads",
        "1",
        "--connections",
        str(clients),
        "--duration",
        f"{seconds:g}s",
        "--timeout",
        f"{PATIENCE}s",
        "--script",
        SCRIPT,
        url + work.path,
        "--",
        work.method,
        str(work.body),
        work.cookie,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=seconds + 60)
    return Load(**json.loads(done.stdout.splitlines()[-1]))


@dataclass(frozen=True)
class Answer:
    """One answer at an offered rate; status 0 is none."""

    status: int
    seconds: float


async def _ask(host: str, port: int, path: str) -> Answer:
    began = time.monotonic()
    try:
        async with asyncio.timeout(PATIENCE):
            reader, writer = await asyncio.open_connection(host, port)
            writer.write(f"GET {path} HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n".encode())
            head = await reader.readline()
            await reader.read()
            writer.close()
        return Answer(int(head.split()[1]), time.monotonic() - began)
    except (OSError, TimeoutError, IndexError, ValueError):
        return Answer(0, time.monotonic() - began)


async def _offer(url: str, path: str, rate: float, seconds: float) -> list[Answer]:
    address, began, asked = urlsplit(url), time.monotonic(), []
    for number in range(round(rate * seconds)):
        await asyncio.sleep(max(0, began + number / rate - time.monotonic()))
        asked.append(asyncio.create_task(_ask(address.hostname, address.port, path)))
    return await asyncio.gather(*asked)


def offered(url: str, path: str, rate: float, seconds: float) -> list[Answer]:
    """New connections at `rate` a second, whether or not earlier ones are answered: as a crowd comes, unlike wrk."""
    return asyncio.run(_offer(url, path, rate, seconds))
