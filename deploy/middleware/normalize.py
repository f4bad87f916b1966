"""Requests and responses look the same on every server. What Nginx refuses already is refused here once more, where a
server can be reached without it; the rest is what the servers do differently behind the same Nginx.

Measured differences without this: uWSGI lets control bytes in header values reach the app, keeps trailing tabs,
passes CR LF in response headers on, sends a body on HEAD, 204 and 304, and resets connections whose request body was
not read (of which Nginx makes a 502); Gunicorn and mod_wsgi leave a client waiting when a body is shorter than its
Content-Length; with an exception in the middle of a body that is not sent they answer 500, uWSGI 200; mod_wsgi calls
one process several.

A chunked request body never arrives here through Nginx, which sends a Content-Length instead. Without Nginx it is
answered 411, because uWSGI 2.0 would hand the app an empty body.
"""

import logging
import re

from werkzeug.wsgi import FileWrapper

from deploy.logs import LineLogger
from deploy.middleware.plain_response import plain_response
from deploy.setting_checks import size_in_bytes

log = logging.getLogger("deploy.normalize")

_IN_VALUE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]").search  # a tab may stand inside a header's value
_ANY_CONTROL = re.compile(r"[\x00-\x1f\x7f]").search  # … but in no path, as in nginx/snippets/refuse.conf
# Hop-by-hop (RFC 9110, 7.6.1): about the connection to the server, none of the app's business. Proxy would become
# HTTP_PROXY, which HTTP clients in the app believe.
_HOP_BY_HOP = [f"HTTP_{name}" for name in "CONNECTION KEEP_ALIVE TE TRAILER EXPECT PROXY UPGRADE".split()]
_DRAIN_CHUNK = 64 * 1024
_DRAIN_AT_MOST = 64 * 1024**2  # bytes; behind Nginx bodies end at MAX_BODY_SIZE, without it a client may never end


class ShortBody(RuntimeError):
    """The app sent fewer bytes than its Content-Length promised; raised so that the server cuts the connection."""


class BadResponseHeader(ValueError):
    """The app tried to send a control byte in its status or a header (response splitting)."""


def _length(environ) -> int | None:
    """The body's length in bytes; None if the header is not a plain number."""
    text = environ.get("CONTENT_LENGTH") or "0"
    return int(text) if text.isascii() and text.isdigit() else None


def _clean(environ) -> bool:
    """Strips white space around header values and drops hop-by-hop headers; False when a control byte is found."""
    if _ANY_CONTROL(f"{environ['REQUEST_METHOD']}{environ.get('PATH_INFO', '')}{environ.get('QUERY_STRING', '')}"):
        return False
    names = [name for name in environ if name[:5] == "HTTP_" or name == "CONTENT_TYPE"]
    for name in () if _are_plain(environ, names) else names:
        value = environ[name]
        if not value.isprintable() and _IN_VALUE(value):
            return False
        if value and (value[0] in " \t" or value[-1] in " \t"):
            environ[name] = value.strip(" \t")
    for name in _HOP_BY_HOP:
        environ.pop(name, None)
    return True


def _are_plain(environ, names) -> bool:
    """Whether all headers can be seen at a glance to need no cleaning: three searches for all instead of some for each,
    4 µs less. False tells nothing: a blank beside a bar may stand inside a value.
    """
    joined = f"|{'|'.join(map(environ.__getitem__, names))}|"
    return joined.isprintable() and " |" not in joined and "| " not in joined


class _Input:
    """wsgi.input cut at Content-Length; counts what is left, so that drain() can read the rest."""

    def __init__(self, stream, length):
        self._stream, self._left = stream, length

    def _take(self, read, size):
        wanted = self._left if size is None or size < 0 else min(size, self._left)
        if not wanted:
            return b""
        data = read(wanted)
        self._left = self._left - len(data) if data else 0  # the client has gone away
        return data

    def read(self, size=-1):
        return self._take(self._stream.read, size)

    def readline(self, size=-1):
        return self._take(self._stream.readline, size)

    def readlines(self, hint=-1):
        return list(self)

    def __iter__(self):
        return iter(self.readline, b"")

    def drain(self):
        """Reads what the app left unread: closing a socket with unread bytes resets it, and the answer is lost."""
        most = _DRAIN_AT_MOST
        while self._left and most > 0:
            most -= len(self.read(_DRAIN_CHUNK))


class _Body:
    """The response body: nothing where none belongs, exactly Content-Length bytes elsewhere."""

    def __init__(self, parts, response, stream):
        self._parts, self._response, self._stream = parts, response, stream

    def __iter__(self):
        response = self._response
        for part in self._parts:
            if response.bodiless:
                # No further part is asked for: one that raised would be a 500 on the servers that have not sent the
                # head yet, and nothing on uWSGI, which has.
                return
            if response.left is not None:
                part = part[: response.left]
                response.left -= len(part)
            if part:
                yield part
        if response.left and not response.bodiless:
            log.error("the body is %s bytes shorter than its Content-Length", response.left)
            raise ShortBody(f"{response.left} bytes are missing")

    def close(self):
        try:
            if hasattr(self._parts, "close"):
                self._parts.close()
        finally:
            self._stream.drain()


class _Response:
    """Watches start_response: checks the head, remembers how many bytes of body may follow."""

    def __init__(self, start_response, method):
        self._start, self._head = start_response, method == "HEAD"
        self.left, self.bodiless = None, False

    def start(self, status, headers, exc_info=None):
        self.left = None
        if _ANY_CONTROL(status):
            raise BadResponseHeader("control byte in the status line")
        for name, value in headers:
            if _IN_VALUE(value) or _ANY_CONTROL(name):
                raise BadResponseHeader(f"control byte in the response header {name!r}")
            if name.lower() == "content-length":
                self.left = int(value)
        self.bodiless = self._head or status[:3] in ("204", "304")
        return self._start(status, headers, exc_info)


def _refusal(environ, length, most) -> str:
    """The status of a request that no app should see; empty for all others, which are cleaned on the way."""
    if "HTTP_TRANSFER_ENCODING" in environ:
        return "411 Length Required"
    if length is None or not _clean(environ):
        return "400 Bad Request"
    return "413 Request Entity Too Large" if length > most else ""


def wrap(app, settings):
    most = size_in_bytes(settings["MAX_BODY_SIZE"])
    errors = LineLogger("wsgi.errors", logging.WARNING)
    # mod_wsgi calls one process several.
    concurrency = {
        "wsgi.multiprocess": int(settings["WEB_CONCURRENCY"]) > 1,
        "wsgi.multithread": int(settings["WEB_THREADS"]) > 1,
    }

    def levelled(environ, start_response):
        length = _length(environ)
        environ["wsgi.errors"] = errors
        environ["wsgi.file_wrapper"] = FileWrapper  # the servers' own differ in which objects they take
        stream = environ["wsgi.input"] = _Input(environ["wsgi.input"], length or 0)
        environ["wsgi.input_terminated"] = True
        environ.update(concurrency)
        response = _Response(start_response, environ["REQUEST_METHOD"])
        refusal = _refusal(environ, length, most)
        parts = plain_response(response.start, refusal) if refusal else app(environ, response.start)
        return _Body(parts, response, stream)

    return levelled
