"""Authentication of API requests: bearer token, HTTP Basic or session cookie.

`g.user` is None if the request is anonymous, and `g.token` is None unless it has a token.
"""

from collections.abc import Callable
from datetime import timedelta
from functools import wraps

from flask import current_app, g, request
from flask_login import current_user
from flask_security import hash_password
from flask_security.utils import check_and_update_authn_fresh
from sqlalchemy import select, update
from werkzeug.datastructures import WWWAuthenticate
from werkzeug.exceptions import Forbidden, Unauthorized

from app import rate_limits
from app.account.models import READ, ApiToken, User, count_failed_login
from app.database import SAFE_METHODS, db, utc_now
from app.extensions import csrf
from app.validation import FORBIDDEN_CHARACTERS

LAST_USED_PRECISION = timedelta(minutes=10)  # of ApiToken.last_used_at; otherwise every read would be a write
SCHEMES = {
    "token": {
        "type": "http",
        "scheme": "bearer",
        "description": "An API token, created on the account page or with `POST /api/v1/tokens`.",
    },
    "password": {
        "type": "http",
        "scheme": "basic",
        "description": "Username or email address, and password.",
    },
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": "session",
        "description": "The session cookie of the pages, `__Host-session` over HTTPS. Writes also require the header "
        "`X-CSRFToken`.",
    },
}
ANY_SCHEME = list(SCHEMES)  # for the OpenAPI description of views that require authentication


def authenticate() -> None:
    """Set `g.user` and `g.token`.

    Raises Unauthorized for invalid credentials, and CSRFError for a write with a session cookie but no CSRF token.
    """
    g.token = None
    if "Authorization" in request.headers:
        g.user = _user_from_header()
    elif current_user.is_authenticated:
        if request.method not in SAFE_METHODS:
            csrf.protect()
        g.user = db.session.get(User, current_user.id)
    else:
        g.user = None


def require_user() -> None:
    """Raise Unauthorized if the request is anonymous."""
    if g.user is None:
        raise _unauthorized()


def require_scope() -> None:
    """Raise Forbidden if the request has a token that can only read."""
    if g.token is not None and g.token.scope == READ:
        raise Forbidden("This token can only read.")


def require_password() -> None:
    """Raise Forbidden unless the password is part of the request or was entered for the session a short time ago."""
    if g.token is not None:
        raise Forbidden("A token cannot create tokens. Authenticate with the password or the session cookie.")
    freshness, grace = (current_app.config[f"SECURITY_{name}"] for name in ("FRESHNESS", "FRESHNESS_GRACE_PERIOD"))
    if "Authorization" not in request.headers and not check_and_update_authn_fresh(freshness, grace, "session"):
        raise Forbidden("Confirm your password at /verify first.")


def login_required(view: Callable) -> Callable:
    """Require authentication for a view that only reads. blueprint.py requires it for all writes."""

    @wraps(view)
    def wrapper(*args, **kwargs):
        require_user()
        return view(*args, **kwargs)

    return wrapper


def _unauthorized() -> Unauthorized:
    # Not Basic: browsers would ask for the password and then add it to all requests, including cross-site requests.
    return Unauthorized(www_authenticate=WWWAuthenticate("bearer", {"realm": "Tripod"}))


def _user_from_header() -> User:
    user = None
    credentials = request.authorization
    if credentials and credentials.type == "bearer":
        user = _user_by_token(credentials.token or "")
    elif credentials and credentials.type == "basic":
        user = _user_by_password(credentials.username or "", credentials.password or "")
    if user is None:
        raise _unauthorized()
    return user


def _user_by_token(plain_text: str) -> User | None:
    token = ApiToken.find(plain_text)
    if token is None:
        return None
    if token.last_used_at is None or utc_now() - token.last_used_at > LAST_USED_PRECISION:
        db.session.rollback()  # on SQLite, a transaction that began as read-only cannot write (database.py)
        db.session.execute(update(ApiToken).where(ApiToken.id == token.id).values(last_used_at=utc_now()))
        db.session.commit()
    g.token = token
    return token.user


def _user_by_password(name: str, password: str) -> User | None:
    """Return the user with this username or email address and this password, or None.

    Attempts are rate limited, and take the same time if the user does not exist.
    """
    name = name.strip().lower()
    # What the client sent is counted, not the account that it names: two names with a common limit would reveal that
    # they belong to the same account. The lock after MAX_FAILED_LOGINS counts all names of an account.
    rate_limits.hit_login(name)
    user = _find_user(name)
    if user is None or user.password is None:
        hash_password(password)
        count_failed_login(user)
        return None
    if not user.has_password(password) or user.is_locked() or not user.active or user.confirmed_at is None:
        count_failed_login(user)
        return None
    rate_limits.refund()
    return user


def _find_user(name: str) -> User | None:
    if FORBIDDEN_CHARACTERS.search(name):  # PostgreSQL rejects queries for text with NUL
        return None
    return db.session.scalar(select(User).where((User.username == name) | (User.email == name)))
