"""Log an exception that the app raises once, and answer with 500, on every server alike.

Without this uWSGI sends an empty response, which Nginx turns into a 502, and Gunicorn and mod_wsgi send error pages of
their own. SystemExit and the like, which are no Exception, would end a uWSGI process with all its requests. The
server's start_response is called when the first bytes of the body exist: so an exception before that can still become
a 500, and exc_info (PEP 3333), which uWSGI 2.0 does not support, never reaches a server.

After an exception behind the first bytes the response ends there, and the client sees that it is incomplete
(framing.py).
"""

import itertools

from deploy.logs import get_logger
from deploy.middleware.framing import IncompleteResponse
from deploy.middleware.plain_response import plain_response
from deploy.middleware.websocket import is_taken

log = get_logger("deploy.errors")


class _StartResponse:
    """The start_response for the app: keeps status and headers until they are sent."""

    def __init__(self):
        self.head = None
        self.sent = False
        self.written = []  # the data of write() (PEP 3333), which old apps use

    def take_written(self):
        data, self.written = self.written, []
        return data

    def __call__(self, status, headers, exc_info=None):
        if exc_info and self.sent:
            raise exc_info[1].with_traceback(exc_info[2])
        if self.head and not exc_info:
            raise AssertionError("start_response was called twice without exc_info")
        self.head = (status, headers)
        return self._write

    def _write(self, data):
        _check_type(data)
        self.written.append(data)


class _ResponseBody:
    """The response body; logs an exception of the app and raises IncompleteResponse instead."""

    def __init__(self, parts, body):
        self._parts, self._body = parts, body

    def __iter__(self):
        while True:
            try:
                part = next(self._parts)
            except StopIteration:
                return
            except BaseException:
                log.exception("the app raised an exception in the middle of a response, which is incomplete")
                raise IncompleteResponse from None
            yield part

    def close(self):
        try:
            _close(self._body)
        except BaseException:
            log.exception("the app raised an exception after its response, which is complete")


def _close(body):
    if hasattr(body, "close"):
        body.close()


def _call_app(app, environ, start):
    """Call the app and fetch the first bytes of its body; by then it must have called start_response."""
    body = app(environ, start)
    try:
        parts = _parts(body, start)
        first = list(itertools.islice(parts, 1))
        if not start.head:
            raise AssertionError("the app sent a body without calling start_response")
    except BaseException:
        _close(body)
        raise
    start.sent = True
    return _ResponseBody(itertools.chain(first, parts), body)


def _parts(body, start):
    """The parts of the body that are not empty, each after the data that was written before it."""
    for part in body:
        _check_type(part)
        yield from filter(None, [*start.take_written(), part])
    yield from filter(None, start.take_written())


def _check_type(part):
    """Raise TypeError for a part of the body that is not bytes; uWSGI would skip it."""
    if not isinstance(part, bytes):
        raise TypeError(f"a part of the response body is of type {type(part).__name__}, not bytes")


def wrap(app, settings):
    def with_error_response(environ, start_response):
        start = _StartResponse()
        body = None
        try:
            body = _call_app(app, environ, start)
            start_response(*start.head)  # normalize.py, which is outside of this, raises for an invalid header
        except BaseException as error:
            # StopIteration is how libraries leave a WebSocket on Gunicorn.
            if not (isinstance(error, StopIteration) and is_taken(environ)):
                method, path = environ.get("REQUEST_METHOD"), environ.get("PATH_INFO")
                log.exception("the app raised an exception for %s %s", method, path)
            if body:
                body.close()
            return plain_response(start_response, "500 Internal Server Error")
        return body

    return with_error_response
