"""Device cookies: an attacker who guesses passwords cannot lock the owner out of a browser they have used before.

After a login, the browser gets a signed cookie that names the account. Logins with that cookie have a rate limit of
their own, and work while the account is locked. Whatever ends all sessions of an account makes these cookies invalid.
https://owasp.org/www-community/Slow_Down_Online_Guessing_Attacks_with_Device_Cookies
"""

import hashlib
import secrets

from flask import Flask, Response, after_this_request, current_app, request
from flask_security import user_authenticated
from itsdangerous import BadSignature, URLSafeTimedSerializer

from app import security_headers
from app.config import signing_keys
from app.extensions import security

COOKIE = "device"
MAX_AGE = 365 * 24 * 3600  # seconds


def init_app(app: Flask) -> None:
    """Set a device cookie after every login."""
    user_authenticated.connect(_set_cookie, app)


def account_digest(email: str) -> str:
    """Return the hash that identifies an account in cookies and rate limits, whether the account exists or not."""
    return hashlib.sha256(email.encode(errors="replace")).hexdigest()[:32]


def is_sent() -> bool:
    """Return whether the request has a device cookie, valid or not."""
    return bool(_cookie())


def device_id(email: str) -> str | None:
    """Return the id of this browser if it has a valid device cookie for the account of `email`, else None."""
    try:
        digest, version, device = _serializer().loads(_cookie(), max_age=MAX_AGE)
    except (BadSignature, ValueError):
        return None
    if digest != account_digest(email):
        return None
    user = security.datastore.find_user(email=email)
    return device if user and version == _version(user) else None


def renew(user) -> None:
    """Set a device cookie for `user` with the response."""
    value = _serializer().dumps([account_digest(user.email), _version(user), secrets.token_hex(8)])

    @after_this_request
    def set_cookie(response: Response) -> Response:
        name = security_headers.cookie_name(COOKIE)
        response.set_cookie(name, value, max_age=MAX_AGE, secure=request.is_secure, httponly=True, samesite="Lax")
        return response


def _set_cookie(app: Flask, user, **details) -> None:
    if not device_id(user.email):
        renew(user)


def _cookie() -> str:
    return request.cookies.get(security_headers.cookie_name(COOKIE), "")


def _version(user) -> str:
    # It changes with the password, and whenever all sessions of the account end.
    return hashlib.sha256(user.fs_uniquifier.encode()).hexdigest()[:16]


def _serializer() -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(signing_keys(current_app), salt="device")
