"""What the engine counts for containers, from their cgroups (v1 or v2), and the memory that the kernel tells."""

import http.client
import json
import re
import socket
from pathlib import Path

from bench.docker import docker

ENGINE = "/var/run/docker.sock"


class _Engine(http.client.HTTPConnection):
    """The engine's API, kept open: `docker stats` would take two seconds for each answer."""

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
    """CPU time in ns that all processes of these containers have used so far, in user and kernel together."""
    return sum(_stats(container)["cpu_stats"]["cpu_usage"]["total_usage"] for container in containers)


def pss(containers: list[str]) -> float:
    """MB of memory of all processes, shared pages divided among those who share them. Needs the host's /proc."""
    pids = [pid for one in containers for pid in docker("top", one, "-eo", "pid").stdout.split()[1:]]
    told = [path.read_text() for path in (Path(f"/proc/{pid}/smaps_rollup") for pid in pids) if path.exists()]
    return sum(int(re.search(r"^Pss: +(\d+) kB", text, re.M)[1]) for text in told) / 1000
