"""A process that has no file descriptor left, because its app leaks them, is of no use: another takes its place."""

import logging
import os
import signal

log = logging.getLogger("deploy.descriptors")


def leave_without() -> None:
    """Ends this process when it can open nothing any more, in the way of its server: what is in flight is finished."""
    try:
        os.close(os.dup(0))
    except OSError:
        log.critical("no file descriptor is left, this worker process is replaced")
        os.kill(os.getpid(), signal.SIGTERM)
