"""Every request has an id: the one that the proxy gave, or a new one; in every log line and in the response."""

import re
import uuid

from deploy import logs

# What Nginx lets through too (nginx/conf.d/request-id.conf): an id goes into logs, so nothing that could break a line.
ACCEPTED = re.compile(r"[A-Za-z0-9._=+/:-]{1,128}").fullmatch


def wrap(app, settings):
    def with_id(environ, start_response):
        given = environ.get("HTTP_X_REQUEST_ID", "")
        identity = given if ACCEPTED(given) else uuid.uuid4().hex
        environ["HTTP_X_REQUEST_ID"] = identity
        logs.request_id.set(identity)

        def start(status, headers, exc_info=None):
            others = [header for header in headers if header[0].lower() != "x-request-id"]
            return start_response(status, [*others, ("X-Request-ID", identity)], exc_info)

        return app(environ, start)

    return with_id
