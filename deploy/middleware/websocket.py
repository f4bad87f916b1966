"""Let the app take over the connection of a request that opens a WebSocket (WEBSOCKET_PATHS, Gunicorn alone).

Libraries such as simple-websocket (Flask-Sock, Flask-SocketIO in threading mode) take Gunicorn's socket out of the
environ and write to it. From then on nothing else may be written, whatever the app returns or raises at its end.

An open WebSocket occupies a thread. Each worker process keeps one thread for requests, health checks among them:
further WebSockets get 503.
"""

import threading

from deploy.logs import get_logger
from deploy.middleware.plain_response import plain_response
from deploy.websocket_paths import opens_websocket

log = get_logger("deploy.websocket")

_SOCKET = "gunicorn.socket"  # in the environ


class _Connection:
    """Gunicorn's socket; remembers whether the app has used it."""

    def __init__(self, socket):
        self._socket, self.is_taken = socket, False

    def __getattr__(self, name):
        self.is_taken = True
        return getattr(self._socket, name)


def is_taken(environ) -> bool:
    """Whether the app has taken over the connection."""
    return getattr(environ.get(_SOCKET), "is_taken", False) is True


def wrap(app, settings):
    if not settings["WEBSOCKET_PATHS"]:
        return app
    available = threading.BoundedSemaphore(int(settings["WEB_THREADS"]) - 1)

    def with_websocket(environ, start_response):
        connection = environ.pop(_SOCKET, None)  # other requests are answered by the server
        if not opens_websocket(environ):
            return app(environ, start_response)
        if not available.acquire(blocking=False):
            log.warning("a WebSocket was refused: WEB_THREADS - 1 are open in this worker process")
            return plain_response(start_response, "503 Service Unavailable")
        try:
            environ[_SOCKET] = _Connection(connection)
            body = app(environ, start_response)
            if not is_taken(environ):
                return body
            body.close()
        finally:
            available.release()
        raise StopIteration  # Gunicorn closes the connection and writes nothing

    return with_websocket
