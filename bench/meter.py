"""The CPU time and memory that containers use, as counted by the kernel."""

import http.client
import json
import re
import socket
from pathlib import Path

from bench.docker import docker

ENGINE = "/var/run/docker.sock"


class _Engine(http.client.HTTPConnection):
    """A keep-alive connection to the engine's API. `docker stats` would take two seconds for each answer."""

    def __init__(self):
        super().__init__("localhost", timeout=30)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(ENGINE)


_engine = _Engine()


def _stats(container: str) -> dict:
    _engine.request("GET", f"/containers/{container}/stats?stream=false&one-shot=true")
    return json.load(_engine.getresponse())


def cpu(containers: list[str]) -> int:
    """CPU time in ns, user and system, of all processes of these containers since their start (from their cgroups)."""
    return sum(_stats(container)["cpu_stats"]["cpu_usage"]["total_usage"] for container in containers)


def pss(containers: list[str]) -> float:
    """Memory in MB of all processes of these containers, as proportional set size: shared pages count once.

    Requires the host's /proc: `docker run --pid host` (cli/commands/bench.py).
    """
    pids = [pid for container in containers for pid in docker("top", container, "-eo", "pid").stdout.split()[1:]]
    files = [Path(f"/proc/{pid}/smaps_rollup") for pid in pids]
    texts = [file.read_text() for file in files if file.exists()]
    return sum(int(re.search(r"^Pss: +(\d+) kB", text, re.M)[1]) for text in texts) / 1000
