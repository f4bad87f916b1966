"""Requests of our own to the server of this container, by which a rollout judges it.

    python3 -m deploy.smoke_check SECONDS [PATH ...]           smoke check of a standby container
    python3 -m deploy.smoke_check --watch SECONDS [PATH ...]   watch of a container that clients use

Requests /healthz, READY_PATH and each PATH in turn, repeatedly for SECONDS, since some servers fail only after their
first requests or with a background task. The reason of a failure is one sentence; the exit status is BROKEN or BUSY.

A standby container has no clients: its first failure counts. In an active container clients can cause failures, by as
many or as expensive requests as they like. So a watch ignores a busy server, and a path fails only if it is still
broken after PATIENCE.
"""

import http.client
import os
import sys
import time
from collections.abc import Mapping

from deploy import own_requests
from deploy.settings import LIVENESS_PATH, load_settings

PAUSE = 0.05  # seconds between two requests: a check, not a load test
PATIENCE = 10  # seconds; a worker process that a client has crashed is replaced in less
BUSY = 1  # exit status: no connection or no response in time, or 503 from another path than READY_PATH
BROKEN = 2  # exit status: another 5xx, a connection that was closed without a response, or not ready

Failure = tuple[int, str]  # exit status, reason


def smoke_check(settings: Mapping[str, str], seconds: float, paths: list[str]) -> Failure | None:
    """The first failure within these seconds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for path in (LIVENESS_PATH, settings["READY_PATH"], *paths):
            failed = _failure_of(settings, path)
            if failed:
                return failed
            time.sleep(PAUSE)
    return None


def watch(settings: Mapping[str, str], seconds: float, paths: list[str]) -> Failure | None:
    """The failure of a path that is broken at the end of these seconds, and has been for PATIENCE by then."""
    end = time.monotonic() + seconds
    broken_since: dict[str, float] = {}
    while broken_since or time.monotonic() < end:
        for path in (LIVENESS_PATH, settings["READY_PATH"], *paths):
            failed = _failure_of(settings, path)
            now = time.monotonic()
            if not failed or failed[0] == BUSY:
                broken_since.pop(path, None)
            elif now - broken_since.setdefault(path, now) >= PATIENCE and now >= end:
                return failed
            time.sleep(PAUSE)
    return None


def _failure_of(settings: Mapping[str, str], path: str) -> Failure | None:
    must_be_ready = path in (LIVENESS_PATH, settings["READY_PATH"])
    try:
        answer = own_requests.get(settings, path)
    except (OSError, http.client.HTTPException) as error:
        is_closed = isinstance(error, (ConnectionResetError, BrokenPipeError, http.client.HTTPException))
        return BROKEN if is_closed else BUSY, f"GET {path} got no answer ({type(error).__name__})"
    if answer.is_ready if must_be_ready else answer.status < 500:
        return None
    return BUSY if answer.status == 503 and not must_be_ready else BROKEN, str(answer)


if __name__ == "__main__":
    arguments = [argument for argument in sys.argv[1:] if argument != "--watch"]
    judge = watch if "--watch" in sys.argv else smoke_check
    failed = judge(load_settings(os.environ), float(arguments[0]), arguments[1:])
    if failed:
        print(failed[1], file=sys.stderr)
        sys.exit(failed[0])
