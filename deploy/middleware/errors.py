"""An exception that leaves the app is logged once and answered with 500, whichever server runs it.

By itself uWSGI sends an empty reply, of which Nginx makes a 502; Gunicorn and mod_wsgi send pages of their own.
An exception in the middle of the body can't be mended: it is raised again, so that the server cuts the connection
and the client sees that the answer is not whole.
"""

import logging
import sys

from deploy.middleware.answer import answer

log = logging.getLogger("deploy.errors")


class _Guarded:
    """The body, with its first part already fetched; an exception further on is logged and raised again."""

    def __init__(self, first, rest, body):
        self._first, self._rest, self._body = first, rest, body

    def __iter__(self):
        try:
            yield from self._first
            yield from self._rest
        except Exception:
            log.exception("the response broke off: the app raised while it was sent")
            raise

    def close(self):
        if hasattr(self._body, "close"):
            self._body.close()


def wrap(app, settings):
    def guarded(environ, start_response):
        body = None
        try:
            body = app(environ, start_response)
            if isinstance(body, (list, tuple)):
                return body
            rest = iter(body)
            first = [part for part in [next(rest, None)] if part is not None]
            return _Guarded(first, rest, body)
        except Exception:
            log.exception("the app raised on %s %s", environ.get("REQUEST_METHOD"), environ.get("PATH_INFO"))
            if hasattr(body, "close"):
                body.close()
            return answer(start_response, "500 Internal Server Error", exc_info=sys.exc_info())

    return guarded
