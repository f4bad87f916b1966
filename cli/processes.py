"""Processes of this machine, from /proc. Only for Linux: elsewhere no process counts as running."""

import contextlib
import os
import re
import signal
from pathlib import Path

_STATE, _START_TIME = (
    0,
    19,
)  # fields behind the command's name: https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html


def start_time(pid):
    """The start of a process in clock ticks since boot, which tells it from a later process with the same PID.

    0 if it does not run. A zombie does not run: it stays where no init process collects it.
    """
    try:
        # The name is in parentheses and may contain spaces.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return 0 if fields[_STATE] == "Z" else int(fields[_START_TIME])


def is_running(pid):
    """Whether the process runs."""
    return start_time(pid) != 0


def has_user(pid, uid):
    """Whether the process runs as this user alone, with none of its ids another user's (proc_pid_status(5))."""
    try:
        ids = re.search(r"^Uid:(.*)$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    except OSError:
        return False
    return {int(word) for word in ids[1].split()} == {uid}


def terminate(pid, is_the_one):
    """Send SIGTERM to the process if `is_the_one` still says so of what the PID means now: PIDs are reused."""
    with contextlib.suppress(ProcessLookupError):
        process = os.pidfd_open(pid)
        try:
            if is_the_one():
                signal.pidfd_send_signal(process, signal.SIGTERM)
        finally:
            os.close(process)
