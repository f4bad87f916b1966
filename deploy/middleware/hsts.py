"""Add Strict-Transport-Security (RFC 6797) to responses over HTTPS, unless the app has set it itself.

Nginx (nginx/conf.d/security-headers.conf) and Apache alone add it to responses that do not come from here.
"""

from deploy.middleware.trusted_proxies import scheme

NAME = "Strict-Transport-Security"


def wrap(app, settings):
    value, count = settings["STRICT_TRANSPORT_SECURITY"], int(settings["TRUSTED_PROXIES"])
    if not value:
        return app

    def with_hsts(environ, start_response):
        if scheme(environ, count) != "https":
            return app(environ, start_response)

        def start(status, headers, exc_info=None):
            is_set = any(name.lower() == NAME.lower() for name, _ in headers)
            return start_response(status, headers if is_set else [*headers, (NAME, value)], exc_info)

        return app(environ, start)

    return with_hsts
