"""An exception that leaves the app is logged once and answered with 500, whichever server runs it.

By itself uWSGI sends an empty reply, of which Nginx makes a 502; Gunicorn and mod_wsgi send pages of their own. The
server's start_response is called when the first part of the body is there: so an exception before it can still become
a 500, and exc_info (PEP 3333), which uWSGI 2.0 trips over, never reaches a server.

An exception further on can't be mended: it is raised again, so that the server cuts the connection and the client
sees that the answer is not whole.
"""

import itertools
import logging

from deploy.middleware.plain_response import plain_response

log = logging.getLogger("deploy.errors")


class _Start:
    """The start_response that the app is given: remembers the response's head until it is sent."""

    def __init__(self):
        self.head = None
        self.sent = False
        self.written = []  # by the write() of PEP 3333, which old apps use

    def take_written(self):
        taken, self.written = self.written, []
        return taken

    def __call__(self, status, headers, exc_info=None):
        if exc_info and self.sent:
            raise exc_info[1].with_traceback(exc_info[2])
        if self.head and not exc_info:
            raise AssertionError("start_response was called twice without exc_info")
        self.head = (status, headers)
        return lambda data: self.written.append(data)


class _Body:
    """The body; an exception in it is logged and raised again."""

    def __init__(self, parts, body):
        self._parts, self._body = parts, body

    def __iter__(self):
        try:
            yield from self._parts
        except Exception:
            log.exception("the response broke off: the app raised while it was sent")
            raise

    def close(self):
        if hasattr(self._body, "close"):
            self._body.close()


def _begin(app, environ, start):
    """Calls the app and fetches the first part of the body, by which it must have called start_response."""
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
    return _Body(_merge(start, itertools.chain(first, parts)), body)


def _merge(start, parts):
    """The parts of the body, and before each what has come by write()."""
    for part in parts:
        yield from start.take_written()
        yield part
    yield from start.take_written()


def wrap(app, settings):
    def guarded(environ, start_response):
        start = _Start()
        body = None
        try:
            body = _begin(app, environ, start)
            start_response(*start.head)  # levelling.py, outside of this, raises on a bad header
        except Exception:
            log.exception("the app raised on %s %s", environ.get("REQUEST_METHOD"), environ.get("PATH_INFO"))
            if body:
                body.close()
            return plain_response(start_response, "500 Internal Server Error")
        return body

    return guarded
