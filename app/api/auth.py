"""Who asks: by a token, by name and password, or by the session of the pages. `g.user` is None for a stranger."""

from collections.abc import Callable
from datetime import timedelta
from functools import wraps

from flask import g, request
from flask_login import current_user
from flask_security import hash_password
from sqlalchemy import select, update
from werkzeug.datastructures import WWWAuthenticate
from werkzeug.exceptions import Unauthorized

from app import limits
from app.account.models import ApiToken, User
from app.database import SAFE_METHODS, db, utc_now
from app.extensions import csrf
from app.text import NOT_PLAIN

NOTED_EVERY = timedelta(minutes=10)  # how exact ApiToken.last_used_at is; else each read would be a write
SCHEMES = {
    "token": {"type": "http", "scheme": "bearer", "description": "A token of yours, made with POST /tokens."},
    "password": {"type": "http", "scheme": "basic", "description": "Username or email, and password."},
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": "session",
        "description": "The session of the pages; what writes needs the header X-CSRFToken as well.",
    },
}
KNOWN = list(SCHEMES)  # any of them, for the description of what only answers to somebody


def authenticate() -> None:
    """Set `g.user`. Raises Unauthorized for wrong credentials, CSRFError for a write by cookie without its token."""
    if "Authorization" in request.headers:
        g.user = _by_header()
    elif current_user.is_authenticated:
        if request.method not in SAFE_METHODS:
            csrf.protect()
        g.user = db.session.get(User, current_user.id)
    else:
        g.user = None


def require_user() -> None:
    """Raises Unauthorized unless it is known who asks."""
    if g.user is None:
        raise _unauthorized()


def login_required(view: Callable) -> Callable:
    """Decorate a view that only answers to somebody, though it only reads: for writes blueprint.py sees to that."""

    @wraps(view)
    def guarded(*args, **kwargs):
        require_user()
        return view(*args, **kwargs)

    return guarded


def _unauthorized() -> Unauthorized:
    # Not Basic: a browser would ask for the password, and send it by itself from then on, whoever causes the request.
    return Unauthorized(www_authenticate=WWWAuthenticate("bearer", {"realm": "Tripod"}))


def _by_header() -> User:
    credentials = request.authorization
    if credentials and credentials.type == "bearer":
        user = _by_token(credentials.token or "")
    elif credentials and credentials.type == "basic":
        user = _by_password(credentials.username or "", credentials.password or "")
    else:
        user = None
    if user is None:
        raise _unauthorized()
    return user


def _by_token(plain_text: str) -> User | None:
    token = ApiToken.find(plain_text)
    if token and (token.last_used_at is None or utc_now() - token.last_used_at > NOTED_EVERY):
        db.session.rollback()  # a transaction that has only read so far could not write (database.py)
        db.session.execute(update(ApiToken).where(ApiToken.id == token.id).values(last_used_at=utc_now()))
        db.session.commit()
    return token and token.user


def _by_password(name: str, password: str) -> User | None:
    """Return the user whose password this is. Guesses are limited, and take as long where there is no such user."""
    user = _named(name.strip().lower())
    for limit, key in zip(limits.LOG_IN, (limits.account(user.email if user else name), limits.address()), strict=True):
        limits.spend(limit, key)
    if user is None or user.password is None:
        hash_password(password)
        return None
    if not user.has_password(password):
        user.track_failed_authn("password")
        return None
    if user.is_locked() or not user.active or user.confirmed_at is None:
        return None
    limits.forgive()
    return user


def _named(name: str) -> User | None:
    if NOT_PLAIN.search(name):  # PostgreSQL could not even look for it
        return None
    return db.session.scalar(select(User).where((User.username == name) | (User.email == name)))
