"""The headers and the cookie that make a browser defend the app's own pages."""

from flask import Flask, Response, g, request
from flask.sessions import SecureCookieSessionInterface

# Nothing is allowed that is not listed, and nothing inline is. Bootstrap's own icons are data: images.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)

HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "same-origin",  # not no-referrer: Flask-WTF checks the referrer of forms sent by https
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class Sessions(SecureCookieSessionInterface):
    """Flask's sessions, whose cookie is `Secure` whenever the request came by https."""

    def get_cookie_secure(self, app: Flask) -> bool:
        return request.is_secure


def init_app(app: Flask) -> None:
    """Defend every response of `app`. A view that sets one of the headers itself has the last word."""
    app.session_interface = Sessions()
    app.config.update(SESSION_COOKIE_HTTPONLY=True, SESSION_COOKIE_SAMESITE="Lax")
    app.after_request(_add_headers)


def _add_headers(response: Response) -> Response:
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    if getattr(g.get("_login_user"), "is_authenticated", False):  # where Flask-Login keeps who asks, once it is known
        response.headers.setdefault("Cache-Control", "private, no-cache")  # no cache between must keep it
    return response
