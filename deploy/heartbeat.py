"""The pulse: when this container's server last got something done, as the time stamp of a file beside its socket.

A question that is not answered says little: a busy server answers late, and one whose queue is full not at all. But one
that has been asked and has finished no request, late or not, for longer than any may take, does not live.
"""

import contextlib
import time
from collections.abc import Mapping
from pathlib import Path

from deploy.settings import socket_path

# Seconds beyond REQUEST_TIMEOUT without a pulse after which a server is dead. A stuck request is over after 4 of them
# (middleware/request_timeout.py), a new worker is there soon after, and between two health checks, in which an idle
# server has no pulse, are 10 (Dockerfile).
BEYOND = 20


def _path(settings: Mapping[str, str]) -> Path:
    return Path(socket_path(settings)).with_suffix(".pulse")


def beat(settings: Mapping[str, str]) -> None:
    """Says that a request, or a part of one, is done."""
    with contextlib.suppress(OSError):  # no folder for sockets, as on Heroku, or a full disk: nobody looks
        _path(settings).touch()


def is_dead(settings: Mapping[str, str]) -> bool:
    """Whether the pulse has been missing for too long; not before the first one: the app may still be loading."""
    return silence(settings) > int(settings["REQUEST_TIMEOUT"]) + BEYOND


def silence(settings: Mapping[str, str]) -> float:
    """Seconds since the last pulse; 0 if there was none."""
    try:
        return max(0, time.time() - _path(settings).stat().st_mtime)
    except OSError:
        return 0


def reset(settings: Mapping[str, str]) -> None:
    """Before a server starts: the one before it is no measure."""
    _path(settings).unlink(missing_ok=True)
