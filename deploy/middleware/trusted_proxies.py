"""Set the client's address and the scheme from the headers of TRUSTED_PROXIES proxies.

Werkzeug's ProxyFix counts from the right of X-Forwarded-For, so addresses that a client adds are ignored. The host is
not taken from X-Forwarded-Host: Nginx passes Host itself, and platforms such as Heroku pass a client's own
X-Forwarded-Host on. X-Forwarded-Proto has a single value for any number of proxies, because Nginx overwrites it.
"""

import re

from werkzeug.middleware.proxy_fix import ProxyFix


def _with_server_name(app):
    """Set SERVER_NAME and SERVER_PORT as the client sees them; the servers' own values differ."""

    def with_server_name(environ, start_response):
        host = environ.get("HTTP_HOST") or "localhost"
        name, colon, port = host.rpartition(":")
        # Without a port; the last colon may belong to an IPv6 address.
        if not colon or not (port.isascii() and port.isdigit()):
            name, port = host, "443" if environ["wsgi.url_scheme"] == "https" else "80"
        environ["SERVER_NAME"], environ["SERVER_PORT"] = name, port
        return app(environ, start_response)

    return with_server_name


_is_single_value = re.compile(r"[A-Za-z0-9.:]+").fullmatch  # a scheme or an address; no list, no quotes


def wrap(app, settings):
    count = int(settings["TRUSTED_PROXIES"])
    app = _with_server_name(app)
    with_proxy_fix = ProxyFix(app, x_for=count, x_proto=1, x_host=0) if count else app

    def with_forwarded_headers(environ, start_response):
        client, scheme = environ.get("HTTP_X_FORWARDED_FOR", ","), environ.get("HTTP_X_FORWARDED_PROTO", ",")
        if count != 1 or not (_is_single_value(client) and _is_single_value(scheme)):
            return with_proxy_fix(environ, start_response)
        # The same result as ProxyFix for the single values that Nginx sends, without parsing quotes: 3 µs less.
        environ["REMOTE_ADDR"], environ["wsgi.url_scheme"] = client, scheme
        return app(environ, start_response)

    def with_client_address(environ, start_response):
        environ["SCRIPT_NAME"] = ""  # Gunicorn would take it from a header
        environ["REMOTE_ADDR"] = environ.get("REMOTE_ADDR") or "127.0.0.1"  # empty on a Unix socket
        environ["wsgi.url_scheme"] = "http"  # uWSGI and Gunicorn trust X-Forwarded-Proto of any client
        return with_forwarded_headers(environ, start_response)

    return with_client_address
