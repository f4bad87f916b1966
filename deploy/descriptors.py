"""A process that runs out of file descriptors, because its app leaks them, is of no use: another takes its place.

In time: a server needs some to finish what it has begun, and mod_wsgi 6.1.1 goes on with a connection that it could not
accept, in place of another's.
"""

import logging
import os
import resource
import signal

log = logging.getLogger("deploy.descriptors")

SPARE = 16  # descriptors; a request takes one or two of the server's, and the process has some four threads


def restart_when_exhausted() -> None:
    """Ends this process when no more than SPARE are left, in the way of its server: what is in flight is finished."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if _lowest_free() >= limit - SPARE:
        log.critical("hardly any file descriptor is left, this worker process is replaced")
        os.kill(os.getpid(), signal.SIGTERM)


def _lowest_free() -> float:
    try:
        free = os.dup(0)
    except OSError:
        return float("inf")
    os.close(free)
    return free
