"""Make requests and responses the same on every server.

It rejects the requests that Nginx rejects too, for targets without Nginx, and evens out the differences between the
servers behind Nginx. Measured without this middleware:

- uWSGI passes control characters in header values to the app and keeps trailing tabs; it sends CR LF in response
  headers, and a body for HEAD, 204 and 304; it resets the connection if the request body was not read, which Nginx
  turns into a 502.
- Gunicorn and mod_wsgi let the client wait if a body is shorter than its Content-Length.
- After an exception in a body that is not sent Gunicorn and mod_wsgi answer 500, uWSGI 200.
- uWSGI and mod_wsgi pass on a Transfer-Encoding of the app, whose body then is no valid HTTP. mod_wsgi takes the status
  from a header Status, and answers with another page of the app to 200 with a Location.
- Apache merges slashes in PATH_INFO, and keeps %2F; uWSGI and Apache resolve dot segments, Gunicorn does not.
- mod_wsgi sets wsgi.multiprocess although there is one process.

Chunked request bodies never arrive here through Nginx, which sends a Content-Length instead. Without Nginx they get
411, because uWSGI 2.0 would pass an empty body to the app.
"""

import logging
import re
from urllib.parse import unquote, urljoin
from wsgiref.util import request_uri

from werkzeug.wsgi import FileWrapper

from deploy import host_header
from deploy.logs import Stream, get_logger
from deploy.middleware.framing import IncompleteResponse
from deploy.middleware.plain_response import plain_response
from deploy.setting_checks import size_in_bytes
from deploy.websocket_paths import opens_websocket, pattern

log = get_logger("deploy.normalize")

_INVALID_IN_VALUE = re.compile(r"[^\t\x20-\x7e\x80-\xff]").search  # of a header, in latin-1 (PEP 3333)
_ANY_CONTROL = re.compile(r"[\x00-\x1f\x7f]").search  # paths may not, as in nginx/snippets/refuse.conf
# Hop-by-hop headers (RFC 9110, 7.6.1) and Proxy-Authorization concern a connection or a proxy, not the app.
# Proxy would become HTTP_PROXY, which HTTP clients in the app would use (https://httpoxy.org).
_HOP_BY_HOP = [
    f"HTTP_{name}"
    for name in (
        *("CONNECTION", "KEEP_ALIVE", "PROXY_CONNECTION", "TE", "TRAILER", "UPGRADE"),
        *("EXPECT", "PROXY", "PROXY_AUTHORIZATION"),
    )
]
_OF_WEBSOCKETS = ("HTTP_CONNECTION", "HTTP_UPGRADE")
# Those of responses, which apps may not send (PEP 3333): an app that passes on another server's response often does.
# Status is the header with which CGI scripts name the status.
_RESPONSE_HOP_BY_HOP = frozenset(
    "connection keep-alive proxy-authenticate proxy-authorization proxy-connection status te trailer trailers "
    "transfer-encoding upgrade".split()
)
_STATUS = re.compile(r"[2-9][0-9]{2}(?: [\t\x20-\x7e\x80-\xff]*)?").fullmatch
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+").fullmatch  # a token (RFC 9110, section 5.6.2)
_LENGTH = re.compile(r"[0-9]{1,18}").fullmatch
# The path of a request target; an absolute URL has scheme and authority before it (RFC 9112, section 3.2).
_TARGET = re.compile(r"(?:[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*)?([^?#]*)").match
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})").search
_DRAIN_CHUNK = 64 * 1024
_MAX_DRAIN = 64 * 1024**2  # bytes; without Nginx, which enforces MAX_BODY_SIZE, a client may send without an end


class BadResponseHead(ValueError):
    """The app tried to send a status or header that HTTP does not allow, for example one with a line break."""


def _content_length(environ) -> int | None:
    """The length of the request body in bytes; None if the header is not a plain number."""
    text = environ.get("CONTENT_LENGTH") or "0"
    return int(text) if text.isascii() and text.isdigit() else None


def _clean(environ, is_websocket) -> bool:
    """Strip white space around header values and remove hop-by-hop headers; False if there is a control character.

    A request that opens a WebSocket keeps Connection and Upgrade, which the app needs.
    """
    if _ANY_CONTROL(f"{environ['REQUEST_METHOD']}{environ.get('PATH_INFO', '')}{environ.get('QUERY_STRING', '')}"):
        return False
    names = [name for name in environ if name[:5] == "HTTP_" or name == "CONTENT_TYPE"]
    for name in () if _are_clean(environ, names) else names:
        value = environ[name]
        if not value.isprintable() and _INVALID_IN_VALUE(value):
            return False
        if value and (value[0] in " \t" or value[-1] in " \t"):
            environ[name] = value.strip(" \t")
    for name in _HOP_BY_HOP:
        if not (is_websocket and name in _OF_WEBSOCKETS):
            environ.pop(name, None)
    return True


def _resolve_dots(path) -> str | None:
    """Resolve the segments "." and ".." as Nginx does; None if the path leads above the root. Slashes stay double."""
    segments, kept = path.split("/")[1:], []
    for segment in segments:
        if segment not in (".", ".."):
            kept.append(segment)
        elif segment == "..":
            if not kept:
                return None
            kept.pop()
    if segments[-1] in (".", ".."):
        kept.append("")
    return "/" + "/".join(kept)


def _set_path(environ) -> bool:
    """Set PATH_INFO to the decoded path of the request target, as Nginx reads it; False if it is malformed.

    The servers give the target an own name: RAW_URI (Gunicorn), REQUEST_URI (uWSGI, mod_wsgi).
    """
    target = environ.get("RAW_URI") or environ.get("REQUEST_URI")
    if not target or environ.get("SCRIPT_NAME"):
        return True
    path = _TARGET(target)[1] or "/"
    if path[0] != "/" or (path == environ.get("PATH_INFO") and "%" not in path and "/." not in path):
        return True
    resolved = None if _BAD_ESCAPE(path) else _resolve_dots(unquote(path, "latin-1"))
    environ["PATH_INFO"] = resolved or "/"
    return resolved is not None


def _are_clean(environ, names) -> bool:
    """Whether no header needs cleaning, by three searches for all headers instead of some for each: 4 µs less.

    False is no proof of the contrary: a space beside a bar may be inside of a value.
    """
    joined = f"|{'|'.join(map(environ.__getitem__, names))}|"
    return joined.isprintable() and " |" not in joined and "| " not in joined


class _RequestBody:
    """wsgi.input that ends at Content-Length; counts the unread bytes, so that drain() can read them."""

    def __init__(self, stream, length):
        self._stream, self._left = stream, length

    def _take(self, read, size):
        wanted = self._left if size is None or size < 0 else min(size, self._left)
        if not wanted:
            return b""
        data = read(wanted)
        self._left = self._left - len(data) if data else 0  # no data: the client has disconnected
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
        """Read the rest: closing a socket with unread bytes resets the connection, and the response is lost."""
        budget = _MAX_DRAIN
        while self._left and budget > 0:
            budget -= len(self.read(_DRAIN_CHUNK))


class _ResponseBody:
    """The response body: empty where HTTP allows none, otherwise exactly Content-Length bytes."""

    def __init__(self, parts, response, request_body):
        self._parts, self._response, self._request_body = parts, response, request_body

    def __iter__(self):
        response = self._response
        for part in self._parts:
            if response.bodiless:
                break  # the app is not asked for a further part, which could raise after the response has been sent
            if response.left is not None:
                part = part[: response.left]
                response.left -= len(part)
            if part:
                response.send_head()
                yield part
        if response.left and not response.bodiless:
            log.error("the response body is %s bytes shorter than its Content-Length", response.left)
            if response.is_sent:
                raise IncompleteResponse
            error = plain_response(response.start, "500 Internal Server Error")
            response.send_head()
            yield from error
        response.send_head()

    def close(self):
        try:
            if hasattr(self._parts, "close"):
                self._parts.close()
        finally:
            self._request_body.drain()


class _Response:
    """Checks the head of the response, and remembers how many bytes of the body may follow.

    The head is sent with the first bytes of the body: only then it is certain that there are any.
    """

    def __init__(self, start_response, environ):
        self._start_response, self._environ = start_response, environ
        self._head, self.is_sent = None, False
        self.left, self.bodiless = None, False

    def start(self, status, headers, exc_info=None):
        is_upgrade = status[:3] == "101" and "HTTP_UPGRADE" in self._environ
        if not _STATUS(status) and not is_upgrade:
            raise BadResponseHead(f"the status {status!r} is not three digits from 200 and a text")
        kept, lengths = (headers, []) if is_upgrade else self._for_the_client(status, headers)
        if lengths and (len(set(lengths)) > 1 or not _LENGTH(lengths[0])):
            raise BadResponseHead(f"the Content-Length {', '.join(lengths)} is not one number")
        self.left = int(lengths[0]) if lengths else None
        if lengths and status[:3] != "204":  # which has none (RFC 9110, section 8.6)
            kept.append(("Content-Length", lengths[0]))
        is_head = self._environ["REQUEST_METHOD"] == "HEAD"
        self.bodiless = is_head or is_upgrade or status[:3] in ("204", "304")
        self._head = status, kept

    def _for_the_client(self, status, headers) -> tuple[list[tuple[str, str]], list[str]]:
        """Return the headers that may reach the client, and the values of Content-Length."""
        kept, lengths, named = [], [], set()
        for name, value in headers:
            if not _NAME(name) or _INVALID_IN_VALUE(value):
                raise BadResponseHead(f"invalid character in the response header {name!r}")
            key = name.lower()
            if key == "content-length":
                lengths.append(value.strip(" \t"))
            elif key == "connection":
                named |= {option.strip().lower() for option in value.split(",")}
            elif key == "location" and value[:1] == "/" and status[:3] == "200":
                kept.append((name, urljoin(request_uri(self._environ), value)))  # mod_wsgi keeps absolute URLs
            elif key not in _RESPONSE_HOP_BY_HOP:
                kept.append((name, value))
        if named:
            kept = [header for header in kept if header[0].lower() not in named]
        return kept, lengths

    def send_head(self):
        if not self.is_sent:
            self.is_sent = True
            self._start_response(*self._head)


def _has_valid_host(environ) -> bool:
    host = environ.get("HTTP_HOST", "")
    return bool(host_header.is_valid(host)) if host else environ["SERVER_PROTOCOL"] == "HTTP/1.0"


def _rejection(environ, length, max_length, methods, is_websocket_path) -> str:
    """The status for a request that must not reach the app; empty for all others, whose headers it cleans."""
    if "HTTP_TRANSFER_ENCODING" in environ:
        return "411 Length Required"
    is_websocket = opens_websocket(environ)
    if length is None or not _set_path(environ) or not _clean(environ, is_websocket) or not _has_valid_host(environ):
        return "400 Bad Request"
    if is_websocket and (length or not is_websocket_path(environ["PATH_INFO"])):
        return "400 Bad Request"
    if environ["REQUEST_METHOD"] not in methods:
        return "405 Method Not Allowed"
    return "413 Request Entity Too Large" if length > max_length else ""


def wrap(app, settings):
    max_length = size_in_bytes(settings["MAX_BODY_SIZE"])
    methods = frozenset(settings["ALLOWED_METHODS"].split(","))
    is_websocket_path = re.compile(pattern(settings["WEBSOCKET_PATHS"])).match
    errors = Stream("wsgi.errors", logging.WARNING, 2)
    concurrency = {
        "wsgi.multiprocess": int(settings["WEB_CONCURRENCY"]) > 1,
        "wsgi.multithread": int(settings["WEB_THREADS"]) > 1,
    }

    def normalized(environ, start_response):
        length = _content_length(environ)
        environ["wsgi.errors"] = errors
        environ["wsgi.file_wrapper"] = FileWrapper  # the servers' own accept different objects
        request_body = environ["wsgi.input"] = _RequestBody(environ["wsgi.input"], length or 0)
        environ["wsgi.input_terminated"] = True
        environ.update(concurrency)
        response = _Response(start_response, environ)
        rejection = _rejection(environ, length, max_length, methods, is_websocket_path)
        parts = plain_response(response.start, rejection) if rejection else app(environ, response.start)
        return _ResponseBody(parts, response, request_body)

    return normalized
