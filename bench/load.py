"""Closed-loop load: a fixed number of clients, each of which waits for its response before it sends the next request."""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

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
