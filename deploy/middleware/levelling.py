"""Requests and responses look the same on every server. What Nginx refuses already is refused here once more where a
server can be reached without it; the rest is what the servers do differently behind the same Nginx.

Measured differences without this: uWSGI lets control bytes in header values reach the app, keeps trailing tabs,
passes CR LF in response headers on, sends a body on HEAD, 204 and 304, and resets connections whose request body was
not read (of which Nginx makes a 502); Gunicorn and mod_wsgi leave a client waiting when a body is shorter than its
Content-Length.

A chunked request body never arrives here through Nginx, which sends a Content-Length instead. Without Nginx it is
answered 411, because uWSGI 2.0 would hand the app an empty body.
"""

import re

from werkzeug.wsgi import FileWrapper

from deploy.contract import size_in_bytes
from deploy.middleware.answer import answer

_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]").search
_DRAIN_CHUNK = 64 * 1024
# Hop-by-hop (RFC 9110, 7.6.1): about the connection to the server, none of the app's business.
_HOP_BY_HOP = ("HTTP_CONNECTION", "HTTP_KEEP_ALIVE", "HTTP_TE", "HTTP_TRAILER", "HTTP_EXPECT", "HTTP_PROXY", "HTTP_UPGRADE")


class ShortBody(RuntimeError):
    """The app sent fewer bytes than its Content-Length promised; raised so that the server cuts the connection."""


class BadResponseHeader(ValueError):
    """The app tried to send a control byte in a response header (response splitting)."""


def _length(environ) -> int | None:
    """The body's length in bytes; None if the header is not a plain number."""
    text = environ.get("CONTENT_LENGTH") or "0"
    return int(text) if text.isascii() and text.isdigit() else None


def _clean(environ) -> bool:
    """Strips white space around header values and drops hop-by-hop headers; False when a control byte is found."""
    if _CONTROL(environ["PATH_INFO"]) or _CONTROL(environ.get("QUERY_STRING", "")):
        return False
    for name in [name for name in environ if name.startswith("HTTP_")]:
        value = environ[name]
        if not value.isprintable() and _CONTROL(value):
            return False
        if value and (value[0] in " \t" or value[-1] in " \t"):
            environ[name] = value.strip(" \t")
    for name in _HOP_BY_HOP:
        environ.pop(name, None)
    return True


class _Input:
    """wsgi.input cut at Content-Length; counts what is left, so that close() can read the rest."""

    def __init__(self, stream, length):
        self._stream, self.left = stream, length

    def read(self, size=-1):
        wanted = self.left if size is None or size < 0 else min(size, self.left)
        data = self._stream.read(wanted) if wanted else b""
        self.left = self.left - len(data) if data else 0
        return data

    def readline(self, size=-1):
        wanted = self.left if size is None or size < 0 else min(size, self.left)
        data = self._stream.readline(wanted) if wanted else b""
        self.left = self.left - len(data) if data else 0
        return data

    def readlines(self, hint=-1):
        return list(self)

    def __iter__(self):
        return iter(self.readline, b"")

    def drain(self):
        """Reads what the app left unread: closing a socket with unread bytes resets it, and the answer is lost."""
        while self.left and self.read(_DRAIN_CHUNK):
            pass


class _Body:
    """The response body: nothing where none belongs, exactly Content-Length bytes elsewhere."""

    def __init__(self, parts, response, stream):
        self._parts, self._response, self._stream = parts, response, stream

    def __iter__(self):
        response = self._response
        for part in self._parts:
            if response.bodiless:
                continue
            if response.left is not None:
                part = part[: response.left]
                response.left -= len(part)
            if part:
                yield part
        if response.left and not response.bodiless:
            raise ShortBody(f"the body is {response.left} bytes shorter than its Content-Length")

    def close(self):
        if hasattr(self._parts, "close"):
            self._parts.close()
        self._stream.drain()


class _Response:
    """Watches start_response: checks the headers, remembers how many bytes of body may follow."""

    def __init__(self, start_response, method):
        self._start, self._head = start_response, method == "HEAD"
        self.left, self.bodiless = None, False

    def start(self, status, headers, exc_info=None):
        self.left = None
        for name, value in headers:
            if _CONTROL(value) or _CONTROL(name):
                raise BadResponseHeader(f"control byte in the response header {name!r}")
            if name.lower() == "content-length":
                self.left = int(value)
        self.bodiless = self._head or status[:3] in ("204", "304") or status[:1] == "1"
        return self._start(status, headers, exc_info)


def wrap(app, settings):
    most = size_in_bytes(settings["MAX_BODY_SIZE"])

    def levelled(environ, start_response):
        length = _length(environ)
        if "HTTP_TRANSFER_ENCODING" in environ:
            return answer(start_response, "411 Length Required")
        if length is None or not _clean(environ):
            return answer(start_response, "400 Bad Request")
        environ["wsgi.file_wrapper"] = FileWrapper  # the servers' own differ in which objects they take
        stream = environ["wsgi.input"] = _Input(environ["wsgi.input"], length)
        environ["wsgi.input_terminated"] = True
        response = _Response(start_response, environ["REQUEST_METHOD"])
        if length > most:
            parts = answer(response.start, "413 Request Entity Too Large")
        else:
            parts = app(environ, response.start)
        return _Body(parts, response, stream)

    return levelled
