"""GET /healthz: is this worker alive, which server is it, which release? Answered here, for any app.

Liveness must not depend on the app or its database: a database that is away would have every container restarted.
Readiness is the app's own (READY_PATH).
"""

import json


def wrap(app, settings):
    alive = {"status": "ok", "wsgi_server": settings["WSGI_SERVER"], "release": settings["RELEASE"]}
    body = json.dumps(alive).encode()
    headers = [
        ("Content-Type", "application/json"),
        ("Content-Length", str(len(body))),
        ("Cache-Control", "no-store"),
    ]

    def with_health(environ, start_response):
        if environ.get("PATH_INFO") != "/healthz" or environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            return app(environ, start_response)
        start_response("200 OK", headers)
        return [body if environ["REQUEST_METHOD"] == "GET" else b""]

    return with_health
