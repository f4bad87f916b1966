"""Answer requests for hosts that are not in ALLOWED_HOSTS with 400.

The app makes absolute URLs from the Host header; with any host allowed, clients could poison them. A host that is
listed with a port is served on that port alone, other hosts on any. No path is exempt except /healthz
(deploy/middleware/liveness.py): the stack's own requests name an allowed host (deploy/own_requests.py).
"""

from werkzeug.sansio.utils import host_is_trusted

from deploy.middleware.plain_response import plain_response


def wrap(app, settings):
    allowed = settings["ALLOWED_HOSTS"].lower().replace(",", " ").split()
    if "*" in allowed:
        return app

    def is_allowed(host):
        port = host.partition(":")[2]
        entries = (entry.partition(":") for entry in allowed)
        return any(host_is_trusted(host, [name]) for name, _, listed in entries if listed in ("", port))

    def for_allowed_hosts(environ, start_response):
        if is_allowed(environ.get("HTTP_HOST", "").lower()):
            return app(environ, start_response)
        return plain_response(start_response, "400 Bad Request")

    return for_allowed_hosts
