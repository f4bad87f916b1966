"""Browsers that their owner has logged in with before: strangers' wrong passwords do not shut them out.

A known browser carries a signed cookie that names the account, and has a number of tries of its own there.
https://owasp.org/www-community/Slow_Down_Online_Guessing_Attacks_with_Device_Cookies
"""

import hashlib
import secrets

from flask import Flask, Response, after_this_request, current_app, request
from flask_security import password_reset, user_authenticated
from itsdangerous import BadSignature, URLSafeSerializer

COOKIE = "device"
LASTS = 365 * 24 * 3600  # seconds


def init_app(app: Flask) -> None:
    """Remember each browser of `app` in which somebody has shown who they are."""
    user_authenticated.connect(_remember, app)
    password_reset.connect(_remember, app)


def digest(account: str) -> str:
    """Return what stands for an account in cookies and keys, whether it exists or not."""
    return hashlib.sha256(account.encode(errors="replace")).hexdigest()[:32]


def known(account: str) -> str | None:
    """Return the id of this browser if it has been logged in to `account` before, else None."""
    try:
        named, device = _signer().loads(request.cookies.get(COOKIE, ""))
    except (BadSignature, ValueError):
        return None
    return device if named == digest(account) else None


def _remember(app: Flask, user, **ignored) -> None:
    if known(user.email):
        return
    value = _signer().dumps([digest(user.email), secrets.token_hex(8)])

    @after_this_request
    def set_cookie(response: Response) -> Response:
        response.set_cookie(COOKIE, value, max_age=LASTS, secure=request.is_secure, httponly=True, samesite="Lax")
        return response


def _signer() -> URLSafeSerializer:
    return URLSafeSerializer(current_app.secret_key, salt="device")
