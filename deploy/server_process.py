"""The processes of this container's server: deploy/start records the first one, deploy/health kills them all.

Nothing else is ever killed. The record, a file beside the socket, names a process by PID and start time, so that no
later process with the same PID is taken for it. It counts only for processes of the user who has written it: the app
could write any PID, and the health check may run as root.
"""

import contextlib
import os
import signal
from collections.abc import Mapping
from pathlib import Path

from deploy.settings import socket_path

SUFFIX = ".pid"
_PARENT, _START_TIME = 1, 19  # fields of /proc/PID/stat after the name (proc_pid_stat(5))


def _path(settings: Mapping[str, str]) -> Path:
    return Path(socket_path(settings)).with_suffix(SUFFIX)


def _stat(pid: int) -> list[str]:
    """The fields after the name of a process, which is in parentheses; none if it does not exist."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def record(settings: Mapping[str, str], pid: int) -> None:
    """Record the process that all processes of the server descend from (deploy/raw_output.py)."""
    _path(settings).write_text(f"{pid} {_stat(pid)[_START_TIME]}\n")


def recorded(settings: Mapping[str, str]) -> int:
    """The recorded process, if it still runs; otherwise 0."""
    path = _path(settings)
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW)) as file:
            pid, start_time = file.read().split()
            owner = os.fstat(file.fileno()).st_uid
        is_same = _stat(int(pid))[_START_TIME] == start_time and os.stat(f"/proc/{int(pid)}").st_uid == owner
    except (OSError, ValueError, IndexError):
        return 0
    return int(pid) if is_same else 0


def descendants(pid: int) -> list[int]:
    """All processes that descend from a process, parents first."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        if fields := _stat(int(entry.name)):
            children.setdefault(int(fields[_PARENT]), []).append(int(entry.name))
    found = list(children.get(pid, []))
    for each in found:
        found += children.get(each, [])
    return found


def kill(settings: Mapping[str, str], log_line: str) -> None:
    """Log a line and kill the server, whose container or unit is then restarted. A dead server has nothing to finish.

    The recorded process itself exits with its child. It is continued, since it may have been stopped like the others.
    """
    first = recorded(settings)
    if not first:
        return
    with contextlib.suppress(OSError):
        Path(f"/proc/{first}/fd/2").write_text(f"{log_line}\n")
    for pid in descendants(first):
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)
    with contextlib.suppress(OSError):
        os.kill(first, signal.SIGCONT)
