"""Processes of this machine, from /proc. Only for Linux: elsewhere no process counts as running."""

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
