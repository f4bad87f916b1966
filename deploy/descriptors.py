"""Restart a worker process that is about to run out of file descriptors, because its app leaks them.

A few must be left at that moment: the server needs them to finish its in-flight requests, and mod_wsgi 6.1.1 mixes up
connections when it cannot accept one.
"""

import errno
import os
import resource

from deploy import worker_process
from deploy.logs import get_logger

log = get_logger("deploy.descriptors")

RESERVE = 16  # descriptors; the server needs one or two for a request, and a process has about four threads


def restart_when_exhausted() -> None:
    """Replace this process if at most RESERVE descriptors are left, after its in-flight requests."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if _lowest_free() >= limit - RESERVE:
        log.critical("almost no file descriptor is left: this worker process is restarted")
        worker_process.stop_accepting()


def _lowest_free() -> float:
    try:
        free = os.open(os.devnull, os.O_RDONLY)
    except OSError as error:
        return float("inf") if error.errno in (errno.EMFILE, errno.ENFILE) else 0
    os.close(free)
    return free
