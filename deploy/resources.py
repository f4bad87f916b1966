"""What this container may use: CPUs, memory and listen backlog, from cgroup v1, cgroup v2 and the kernel.

Counting the host's CPUs in a limited container starts too many workers and ends in the OOM killer.
"""

import os
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")

# A worker of the sample app takes 60…70 MB resident; brought apps are often twice that.
MEMORY_PER_WORKER = 128 * 1024**2


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def cpus(cgroup: Path = CGROUP) -> int:
    """Whole CPUs this process may use: its affinity, cut by the CPU quota; at least 1."""
    quota, period = (_read(cgroup / "cpu.max").split() + ["", ""])[:2]  # cgroup v2: "150000 100000" or "max 100000"
    if not quota:
        quota, period = (_read(cgroup / "cpu" / f"cpu.cfs_{name}_us") for name in ("quota", "period"))  # v1: -1 is none
    available = len(os.sched_getaffinity(0))
    if quota.isdigit() and period.isdigit() and int(period):
        available = min(available, max(1, int(quota) // int(period)))
    return available


def memory(cgroup: Path = CGROUP) -> int:
    """Bytes of memory this process may use: the host's, cut by the cgroup's limit."""
    host = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = _read(cgroup / "memory.max") or _read(cgroup / "memory" / "memory.limit_in_bytes")
    return min(host, int(limit)) if limit.isdigit() else host


def default_workers(cgroup: Path = CGROUP) -> int:
    """One worker process for each CPU (threads cover waiting), as far as memory reaches; at least 1."""
    return max(1, min(cpus(cgroup), memory(cgroup) // MEMORY_PER_WORKER))


def backlog(wanted: int, somaxconn: Path = Path("/proc/sys/net/core/somaxconn")) -> int:
    """How many connections may wait to be accepted: `wanted`, as far as the kernel allows.

    uWSGI refuses to start, and Linux silently cuts the others, when it is above net.core.somaxconn.
    """
    limit = _read(somaxconn)
    return min(wanted, int(limit)) if limit.isdigit() else wanted
