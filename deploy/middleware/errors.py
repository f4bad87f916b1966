"""Log an exception that the app raises once, and answer with 500, on every server alike.

Without this uWSGI sends an empty response, which Nginx turns into a 502, and Gunicorn and mod_wsgi send error pages of
their own. The server's start_response is called when the first part of the body exists: so an exception before that
can still become a 500, and exc_info (PEP 3333), which uWSGI 2.0 does not support, never reaches a server.

An exception after the first part is raised again: the server closes the connection, and the client sees that the
response is incomplete.
"""

import itertools

from deploy.logs import get_logger
from deploy.middleware.plain_response import plain_response

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
        return lambda data: self.written.append(data)


class _ResponseBody:
    """The response body; logs an exception and raises it again."""

    def __init__(self, parts, body):
        self._parts, self._body = parts, body

    def __iter__(self):
        try:
            yield from self._parts
        except Exception:
            log.exception("the app raised an exception in the middle of a response, which is incomplete")
            raise

    def close(self):
        if hasattr(self._body, "close"):
            self._body.close()


def _call_app(app, environ, start):
    """Call the app and fetch the first part of its body; by then it must have called start_response."""
    body = app(environ, start)
    try:
        parts = iter(body)
        first = list(itertools.islice(parts, 1))
        if not start.head:
            raise AssertionError("the app sent a body without calling start_response")
    except BaseException:
        if hasattr(body, "close"):
            body.close()
        raise
    start.sent = True
    return _ResponseBody(_with_written(start, itertools.chain(first, parts)), body)


def _with_written(start, parts):
    """The parts of the body, each after the data that was written before it."""
    for part in parts:
        yield from start.take_written()
        yield part
    yield from start.take_written()


def wrap(app, settings):
    def with_error_response(environ, start_response):
        start = _StartResponse()
        body = None
        try:
            body = _call_app(app, environ, start)
            start_response(*start.head)  # normalize.py, which is outside of this, raises for an invalid header
        except Exception:
            method, path = environ.get("REQUEST_METHOD"), environ.get("PATH_INFO")
            log.exception("the app raised an exception for %s %s", method, path)
            if body:
                body.close()
            return plain_response(start_response, "500 Internal Server Error")
        return body

    return with_error_response
