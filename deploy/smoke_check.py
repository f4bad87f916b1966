"""Smoke check of a standby container: real requests to its server, before Nginx sends any.

    python3 -m deploy.smoke_check SECONDS PATH ...

Requests /healthz, READY_PATH and each PATH in turn, repeatedly for SECONDS, since some servers fail only after their
first requests or with a background task. Exits with status 1 and a one-sentence reason at the first response with a
5xx status, or if there is no response.
"""

import http.client
import os
import sys
import time
from collections.abc import Mapping

from deploy import own_requests
from deploy.settings import LIVENESS_PATH, load_settings

PAUSE = 0.05  # seconds between two requests: a check, not a load test


def failure(settings: Mapping[str, str], seconds: float, paths: list[str]) -> str:
    """The first failed request and its reason; empty if all requests of these seconds succeed."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for path in (LIVENESS_PATH, settings["READY_PATH"], *paths):
            reason = _failure_of(settings, path)
            if reason:
                return reason
            time.sleep(PAUSE)
    return ""


def _failure_of(settings: Mapping[str, str], path: str) -> str:
    try:
        answer = own_requests.get(settings, path)
    except (OSError, http.client.HTTPException) as error:
        return f"GET {path} got no answer ({type(error).__name__})"
    succeeded = answer.is_ready if path in (LIVENESS_PATH, settings["READY_PATH"]) else answer.status < 500
    return "" if succeeded else str(answer)


if __name__ == "__main__":
    sys.exit(failure(load_settings(os.environ), float(sys.argv[1]), sys.argv[2:]) or 0)
