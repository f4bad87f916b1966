"""The CPUs, memory and listen backlog that this container may use, from cgroup v1, cgroup v2 and the kernel.

With the host's CPUs as a measure, a container with limits would start too many worker processes and be ended by the
OOM killer. `./stack` imports this module on the operator's machine, which may have neither cgroups nor /proc (macOS).
"""

import os
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")

# A worker process of the sample app has 60 to 70 MB of resident memory; custom apps often need twice as much.
MEMORY_PER_WORKER = 128 * 1024**2


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def _schedulable_cpus() -> int:
    """The CPUs of this process's affinity; on systems without sched_getaffinity (macOS) those of the machine."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def cpus(cgroup: Path = CGROUP) -> int:
    """Whole CPUs that this process may use: its affinity, limited by the CPU quota; at least 1."""
    quota, period = (_read(cgroup / "cpu.max").split() + ["", ""])[:2]  # cgroup v2: "150000 100000" or "max 100000"
    if not quota:
        quota, period = (_read(cgroup / "cpu" / f"cpu.cfs_{name}_us") for name in ("quota", "period"))  # v1: -1 is none
    available = _schedulable_cpus()
    if quota.isdigit() and period.isdigit() and int(period):
        available = min(available, max(1, int(quota) // int(period)))
    return available


def memory(cgroup: Path = CGROUP) -> int:
    """Bytes of memory that this process may use: the machine's, limited by the cgroup."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = _read(cgroup / "memory.max") or _read(cgroup / "memory" / "memory.limit_in_bytes")
    return min(machine, int(limit)) if limit.isdigit() else machine


def default_workers(cgroup: Path = CGROUP) -> int:
    """One worker process per CPU if memory suffices, otherwise fewer; at least 1. Threads cover waiting."""
    return max(1, min(cpus(cgroup), memory(cgroup) // MEMORY_PER_WORKER))


def backlog(requested: int, somaxconn: Path = Path("/proc/sys/net/core/somaxconn")) -> int:
    """The listen backlog: `requested`, or net.core.somaxconn if that is less.

    With a higher backlog uWSGI refuses to start; for the other servers Linux reduces it silently.
    """
    limit = _read(somaxconn)
    return min(requested, int(limit)) if limit.isdigit() else requested
