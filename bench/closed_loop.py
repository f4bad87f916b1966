"""Closed-loop load (wrk): each client sends its next request when it has the previous response.

Measures CPU and capacity. For latency this load is wrong: a server that stalls receives fewer requests meanwhile.
"""

import json
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.workloads import Workload
from deploy.errors import StackError

SCRIPT = Path(__file__).with_name("wrk.lua")
CLIENTS = 16
SETTLE = 0.5  # seconds of load before the counted window
TIMEOUT = 10  # seconds; later responses count as errors


@dataclass(frozen=True)
class Load:
    """What happened in the counted window.

    requests: those that were answered. used: what the meter has counted. errors: missing responses, and those other
    than 2xx and 3xx, also before and after the window.
    """

    requests: int
    seconds: float
    used: int
    errors: int


def closed_loop(url: str, workload: Workload, seconds: float, meter: Callable[[], int] = lambda: 0) -> Load:
    """Load the server and count the requests and what `meter` measures in the same window, in the middle of the load.

    The window begins and ends with a request of each client in flight. What these cost outside of it cancels out.
    """
    first = time.monotonic() + SETTLE
    last = first + seconds
    options = ["--threads", "1", "--connections", str(CLIENTS), "--duration", "1h", "--timeout", f"{TIMEOUT}s"]
    script = [workload.cookie, f"{first:.6f}", f"{last:.6f}"]
    command = ["wrk", *options, "--script", str(SCRIPT), url + workload.path, "--", *script]
    wrk = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        time.sleep(max(0, first - time.monotonic()))
        before = meter()
        time.sleep(max(0, last - time.monotonic()))
        used = meter() - before
        wrk.send_signal(signal.SIGINT)  # it stops and prints its result
        output, _ = wrk.communicate(timeout=60)
    finally:
        wrk.kill()
    if wrk.returncode:
        raise StackError(f"wrk failed for {url}{workload.path}.", output, "./stack bench")
    return Load(seconds=seconds, used=used, **json.loads(output.splitlines()[-1]))
