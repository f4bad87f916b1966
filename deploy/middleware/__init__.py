"""WSGI middleware that makes all servers behave alike: each file keeps one promise, for any app."""

from collections.abc import Callable, Mapping
from typing import Any

from deploy.middleware import (
    allowed_hosts,
    background_threads,
    errors,
    framing,
    hsts,
    liveness,
    normalize,
    request_id,
    request_timeout,
    static_files,
    trusted_proxies,
    websocket,
)

WSGIApp = Callable[..., Any]

# From the outermost to the innermost. The request id is first, so that every log line has it. hsts follows, since it
# belongs to every response, and then framing, because the server must send exactly what it returns. websocket encloses
# everything that would answer on a connection that the app has taken over. normalize encloses the rest, so that the
# request body is read to its end for every response. errors encloses everything that may raise. liveness is outside of
# allowed_hosts, since probes use an IP address as the host. request_timeout is innermost, so that it measures the app
# alone.
ORDER = (
    request_id,
    hsts,
    framing,
    websocket,
    normalize,
    errors,
    liveness,
    trusted_proxies,
    allowed_hosts,
    static_files,
    background_threads,
    request_timeout,
)


def wrap(app: WSGIApp, settings: Mapping[str, str]) -> WSGIApp:
    """The app, wrapped in all middleware."""
    for module in reversed(ORDER):
        app = module.wrap(app, settings)
    return app
