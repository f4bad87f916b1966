"""Security headers and the attributes of the session cookie."""

from flask import Flask, Response, g, request
from flask.sessions import SecureCookieSessionInterface

# Everything that is not listed is forbidden, including inline scripts and styles. Bootstrap's icons are data: URLs.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)

HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "same-origin",  # not no-referrer: Flask-WTF checks the Referer of forms sent over HTTPS
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class SessionInterface(SecureCookieSessionInterface):
    """Flask's cookie sessions. Over HTTPS, the cookie has the attribute `Secure` and the prefix `__Host-`."""

    def get_cookie_name(self, app: Flask) -> str:
        """Return the name of the session cookie."""
        return cookie_name(super().get_cookie_name(app))

    def get_cookie_secure(self, app: Flask) -> bool:
        """Return whether the session cookie gets the attribute `Secure`."""
        return request.is_secure


def cookie_name(name: str) -> str:
    """Return the name of a cookie. Over HTTPS, its prefix keeps subdomains and plain HTTP from setting the cookie.

    https://developer.mozilla.org/en-US/docs/Web/HTTP/Reference/Headers/Set-Cookie#cookie_prefixes
    """
    return f"__Host-{name}" if request.is_secure else name


def init_app(app: Flask) -> None:
    """Add the security headers to every response. A view can override a header by setting it."""
    app.session_interface = SessionInterface()
    app.config.update(SESSION_COOKIE_HTTPONLY=True, SESSION_COOKIE_SAMESITE="Lax")
    app.after_request(_add_headers)


def _add_headers(response: Response) -> Response:
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    # Flask-Login stores the current user in g._login_user once it is loaded.
    if getattr(g.get("_login_user"), "is_authenticated", False):
        response.headers.setdefault("Cache-Control", "private, no-cache")  # shared caches must not store it
    return response
