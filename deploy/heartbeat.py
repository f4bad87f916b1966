"""The heartbeat: when the server of this container last finished a request, as the mtime of a file beside its socket.

deploy/health uses it to tell a busy server from a dead one. A missing response alone proves little: a busy server
answers late, and a server with a full queue not at all. But a server that does not answer and has not finished any
request for longer than a request may take is considered dead, unless each thread sends a response to a slow client
(deploy/middleware/request_timeout.py).
"""

import contextlib
import time
from collections.abc import Mapping
from pathlib import Path

from deploy.settings import socket_path

SUFFIX = ".heartbeat"

# Seconds without a heartbeat, beyond REQUEST_TIMEOUT, after which a server is considered dead. A stuck request ends
# within 4 s (deploy/middleware/request_timeout.py), and a new worker process is soon available. An idle server has no
# heartbeat between two health checks, which are 10 s apart (Dockerfile).
ALLOWED_SILENCE = 20


def _path(settings: Mapping[str, str]) -> Path:
    return Path(socket_path(settings)).with_suffix(SUFFIX)


def beat(settings: Mapping[str, str]) -> None:
    """Record that a request, or a part of its response, is finished, or that every thread sends to a slow client."""
    with contextlib.suppress(OSError):  # without a socket folder (Heroku) nothing reads it; or the disk is full
        _path(settings).touch()


def is_dead(settings: Mapping[str, str]) -> bool:
    """Whether the last heartbeat is too old. Before the first one the app may still be loading."""
    return silence(settings) > int(settings["REQUEST_TIMEOUT"]) + ALLOWED_SILENCE


def silence(settings: Mapping[str, str]) -> float:
    """Seconds since the last heartbeat; 0 if there was none."""
    try:
        return max(0, time.time() - _path(settings).stat().st_mtime)
    except OSError:
        return 0


def reset(settings: Mapping[str, str]) -> None:
    """Remove the heartbeat of an earlier server, before a new one starts in the same container."""
    with contextlib.suppress(OSError):  # there is none; or deploy/start soon reports a folder that cannot be written
        _path(settings).unlink()
