"""Load from outside the containers.

Closed loop: a fixed number of clients, each of which waits for its response before it sends the next request (wrk).
Open loop: requests at a fixed rate, whether or not earlier ones have been answered.
"""

import asyncio
import json
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from bench.configurations import Workload

SCRIPT = Path(__file__).with_name("wrk.lua")
TIMEOUT = 10  # seconds; later responses count as errors


@dataclass(frozen=True)
class Load:
    """The result of one closed loop. Latencies in ms. Errors: responses other than 2xx, and missing responses."""

    requests: int
    seconds: float
    errors: int
    p50: float
    p99: float

    @property
    def rate(self) -> float:
        """Successful responses per second."""
        return (self.requests - self.errors) / self.seconds


def closed_loop(url: str, workload: Workload, seconds: float, clients: int = 0) -> Load:
    """Send requests over `clients` keep-alive connections, one at a time on each. Default: the workload's number."""
    command = [
        "wrk",
        "--threads",
        "1",
        "--connections",
        str(clients or workload.clients),
        "--duration",
        f"{seconds:g}s",
        "--timeout",
        f"{TIMEOUT}s",
        "--script",
        SCRIPT,
        url + workload.path,
        "--",
        workload.method,
        str(workload.body),
        workload.cookie,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=seconds + 60)
    return Load(**json.loads(done.stdout.splitlines()[-1]))


@dataclass(frozen=True)
class Response:
    """One response of an open loop. Status 0: no response."""

    status: int
    seconds: float


async def _get(host: str, port: int, path: str) -> Response:
    began = time.monotonic()
    try:
        async with asyncio.timeout(TIMEOUT):
            reader, writer = await asyncio.open_connection(host, port)
            writer.write(f"GET {path} HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n".encode())
            status_line = await reader.readline()
            await reader.read()
            writer.close()
        return Response(int(status_line.split()[1]), time.monotonic() - began)
    except (OSError, TimeoutError, IndexError, ValueError):
        return Response(0, time.monotonic() - began)


async def _open_loop(url: str, path: str, rate: float, seconds: float) -> list[Response]:
    address, began, requests = urlsplit(url), time.monotonic(), []
    for number in range(round(rate * seconds)):
        await asyncio.sleep(max(0, began + number / rate - time.monotonic()))
        requests.append(asyncio.create_task(_get(address.hostname, address.port, path)))
    return await asyncio.gather(*requests)


def open_loop(url: str, path: str, rate: float, seconds: float) -> list[Response]:
    """Open `rate` new connections per second and send one request on each, like independent visitors do."""
    return asyncio.run(_open_loop(url, path, rate, seconds))
