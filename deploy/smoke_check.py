"""The trial of a container that stands by: real requests to its own server, before Nginx is pointed at it.

    python3 -m deploy.smoke_check SECONDS PATH ...

asks /healthz, READY_PATH and each PATH in turn, again and again for SECONDS. Exit status 1, and the reason in one
sentence, at the first answer that is a 5xx or none at all. So long, because some die of their first requests, or of
what they start in the background.
"""

import http.client
import os
import sys
import time
from collections.abc import Mapping

from deploy import handover
from deploy.settings import load_settings

PAUSE = 0.05  # seconds between two requests: a trial, no load


def failure(settings: Mapping[str, str], seconds: float, paths: list[str]) -> str:
    """What was wrong with the first bad answer; empty when there was none within `seconds`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        for path in ("/healthz", settings["READY_PATH"], *paths):
            wrong = _wrong(settings, path)
            if wrong:
                return f"GET {path} {wrong}"
            time.sleep(PAUSE)
    return ""


def _wrong(settings: Mapping[str, str], path: str) -> str:
    try:
        status, _ = handover.get(settings, path, host=_host(settings))
    except (OSError, http.client.HTTPException) as error:
        return f"got no answer ({type(error).__name__})"
    good = status == 200 if path in ("/healthz", settings["READY_PATH"]) else status < 500
    return "" if good else f"answered {status}"


def _host(settings: Mapping[str, str]) -> str:
    """One that is served: others get 400 before the app sees anything."""
    first = settings["ALLOWED_HOSTS"].replace(",", " ").split()[0]
    return "localhost" if first == "*" else first.lstrip(".")


if __name__ == "__main__":
    sys.exit(failure(load_settings(os.environ), float(sys.argv[1]), sys.argv[2:]) or 0)
