"""Answer GET /healthz for any app: this worker process runs. HEALTHZ_DETAILS adds the server and the release.

Liveness does not depend on the app or its database. Otherwise a database outage would restart every container.
Readiness is the app's own (READY_PATH).
"""

import json

from deploy.middleware.plain_response import SECURITY_HEADERS
from deploy.settings import LIVENESS_PATH


def wrap(app, settings):
    alive = {"status": "ok"}
    if settings["HEALTHZ_DETAILS"] == "on":
        alive |= {"wsgi_server": settings["WSGI_SERVER"], "release": settings["RELEASE"]}
    body = json.dumps(alive).encode()
    headers = [
        ("Content-Type", "application/json"),
        ("Content-Length", str(len(body))),
        ("Cache-Control", "no-store"),
        *SECURITY_HEADERS,
    ]

    def with_liveness(environ, start_response):
        if environ.get("PATH_INFO") != LIVENESS_PATH or environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            return app(environ, start_response)
        start_response("200 OK", headers)
        return [body if environ["REQUEST_METHOD"] == "GET" else b""]

    return with_liveness
