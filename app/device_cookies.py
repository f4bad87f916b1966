"""Device cookies: an attacker who guesses passwords cannot lock the owner out of a browser they have used before.

After a login, the browser gets a signed cookie that names the account. Logins with that cookie have a rate limit of
their own, and work while the account is locked.
https://owasp.org/www-community/Slow_Down_Online_Guessing_Attacks_with_Device_Cookies
"""

import hashlib
import secrets

from flask import Flask, Response, after_this_request, current_app, request
from flask_security import password_reset, user_authenticated
from itsdangerous import BadSignature, URLSafeSerializer

COOKIE = "device"
MAX_AGE = 365 * 24 * 3600  # seconds


def init_app(app: Flask) -> None:
    """Set a device cookie after every login and every password reset."""
    user_authenticated.connect(_set_cookie, app)
    password_reset.connect(_set_cookie, app)


def account_digest(email: str) -> str:
    """Return the hash that identifies an account in cookies and rate limits, whether the account exists or not."""
    return hashlib.sha256(email.encode(errors="replace")).hexdigest()[:32]


def device_id(email: str) -> str | None:
    """Return the id of this browser if it has a device cookie for the account of `email`, else None."""
    try:
        digest, device = _serializer().loads(request.cookies.get(COOKIE, ""))
    except (BadSignature, ValueError):
        return None
    return device if digest == account_digest(email) else None


def _set_cookie(app: Flask, user, **details) -> None:
    if device_id(user.email):
        return
    value = _serializer().dumps([account_digest(user.email), secrets.token_hex(8)])

    @after_this_request
    def set_cookie(response: Response) -> Response:
        response.set_cookie(COOKIE, value, max_age=MAX_AGE, secure=request.is_secure, httponly=True, samesite="Lax")
        return response


def _serializer() -> URLSafeSerializer:
    return URLSafeSerializer(current_app.secret_key, salt="device")
