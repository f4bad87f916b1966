"""What makes the servers alike, one file for each promise; a chain of plain WSGI middleware around any app."""

from collections.abc import Callable, Mapping
from typing import Any

from deploy.middleware import (
    allowed_hosts,
    errors,
    liveness,
    normalize,
    request_id,
    request_timeout,
    static_files,
    trusted_proxies,
)

WSGIApp = Callable[..., Any]

# From the outside in. The id comes first, so that every log line has it; normalize next, so that the request's body is
# read to its end whichever way the answer came; the exception guard around all that can fail; health answers whatever
# the Host header says, since probes come by address; the deadline is innermost, so that only the app's own time counts.
ORDER = (
    request_id,
    normalize,
    errors,
    liveness,
    trusted_proxies,
    allowed_hosts,
    static_files,
    request_timeout,
)


def wrap(app: WSGIApp, settings: Mapping[str, str]) -> WSGIApp:
    """The app inside the whole chain. `settings` are the contract's values."""
    for promise in reversed(ORDER):
        app = promise.wrap(app, settings)
    return app
