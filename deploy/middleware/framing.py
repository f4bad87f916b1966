"""Let clients recognize an incomplete response, on the servers that do not see to it themselves.

If the app fails in the middle of a response or its process dies, the client must not take the half for the whole, and
Nginx must not cache it. A body with a Content-Length is too short then. A body without one is chunked, and the last
chunk, which is empty, is missing (RFC 9112, section 8). Measured without this middleware:

- uWSGI sends a body of unknown length as it is and closes the connection, as it does at a regular end. Nginx also
  buffers such a body, so that server-sent events arrive late; it forwards chunks at once.
- Apache sends the last chunk even if the app's process has died. After a body that is shorter than its Content-Length
  it keeps the connection open, so that the client waits for the rest.

So on these servers, whose folders contain a file `unframed`, the middleware chunks the body and sends the last chunk
only at its regular end. Gunicorn chunks by itself. HTTP/1.0 has no chunks: the end of the connection is the end of a
body of unknown length, and its clients cannot tell.
"""

import itertools

from deploy.settings import SERVERS

_LAST_CHUNK = b"0\r\n\r\n"


class IncompleteResponse(Exception):
    """Raised in the middle of a response when the cause has been logged: the server must not complete the response."""


class _FramedBody:
    """The response body in chunks if its length is unknown. The head is sent when the first part is known."""

    def __init__(self, environ, start_response):
        self._environ, self._start_response = environ, start_response
        self._head, self.parts = None, ()

    def start(self, status, headers, exc_info=None):
        self._head = status, headers

    def __iter__(self):
        parts = iter(self.parts)
        first = next(parts, b"")
        is_chunked = self._send_head(len(first))
        try:
            for part in itertools.chain((first,), parts):
                if part:
                    yield b"%x\r\n%b\r\n" % (len(part), part) if is_chunked else part
        except IncompleteResponse:
            return
        if is_chunked:
            yield _LAST_CHUNK

    def _send_head(self, available: int) -> bool:
        """Send status and headers for a body that begins with this many bytes; return whether it is chunked."""
        status, headers = self._head
        length = next((value for name, value in headers if name.lower() == "content-length"), None)
        has_body = self._environ["REQUEST_METHOD"] != "HEAD" and status[0] != "1" and status[:3] not in ("204", "304")
        is_chunked = has_body and length is None and self._environ["SERVER_PROTOCOL"] == "HTTP/1.1"
        if is_chunked:
            headers = [*headers, ("Transfer-Encoding", "chunked")]
        # If the body breaks off, only the end of the connection shows it.
        if has_body and (length is None or int(length) > available):
            headers = [*headers, ("Connection", "close")]
        self._start_response(status, headers)
        return is_chunked

    def close(self):
        if hasattr(self.parts, "close"):
            self.parts.close()


def wrap(app, settings):
    if not (SERVERS / settings["WSGI_SERVER"] / "unframed").exists():
        return app

    def framed(environ, start_response):
        body = _FramedBody(environ, start_response)
        body.parts = app(environ, body.start)
        return body

    return framed
