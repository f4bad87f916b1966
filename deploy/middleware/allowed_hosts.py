"""Only the hosts of ALLOWED_HOSTS are served, so that nobody can poison absolute URLs; others get 400."""

from werkzeug.sansio.utils import host_is_trusted

from deploy.middleware.plain_response import plain_response


def wrap(app, settings):
    allowed = settings["ALLOWED_HOSTS"].lower().replace(",", " ").split()
    if "*" in allowed:
        return app

    def for_allowed_hosts(environ, start_response):
        # READY_PATH is asked by address, from inside the container and by platforms' probes.
        host = environ.get("HTTP_HOST", "").lower()
        if environ["PATH_INFO"] == settings["READY_PATH"] or host_is_trusted(host, allowed):
            return app(environ, start_response)
        return plain_response(start_response, "400 Bad Request")

    return for_allowed_hosts
