"""Give every request an id, from the proxy or a new one, and add it to each log line and to the response."""

import re
import uuid

from deploy import logs

# The ids that Nginx accepts too (nginx/conf.d/request-id.conf). Ids are logged, so they contain nothing that could
# break a log line.
ACCEPTED = re.compile(r"[A-Za-z0-9._=+/:-]{1,128}").fullmatch


def wrap(app, settings):
    def with_request_id(environ, start_response):
        received = environ.get("HTTP_X_REQUEST_ID", "")
        request_id = received if ACCEPTED(received) else uuid.uuid4().hex
        environ["HTTP_X_REQUEST_ID"] = request_id
        logs.request_id.set(request_id)

        def start(status, headers, exc_info=None):
            others = [header for header in headers if header[0].lower() != "x-request-id"]
            return start_response(status, [*others, ("X-Request-ID", request_id)], exc_info)

        return app(environ, start)

    return with_request_id
