"""Sessions on the server: a logout ends a session even if its cookie was copied, and sessions have an end.

The session cookie contains the id of a LoginSession. Deleting the row ends the session. Sessions end at last
SESSION_LIFETIME after the login, and SESSION_IDLE_TIMEOUT after their last request.
"""

from datetime import timedelta

from flask import Flask, current_app, request, session
from flask_login import user_logged_out
from flask_security import password_changed, user_authenticated
from flask_security.utils import set_request_attr
from sqlalchemy import ColumnElement, delete, select, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import joinedload

from app import device_cookies
from app.account import security_events
from app.account.models import LoginSession, User
from app.database import db, utc_now
from app.validation import FORBIDDEN_CHARACTERS

KEY = "login"  # of the id in the session cookie
MAX_SESSIONS = 50  # of one user; a login ends the oldest ones
LAST_SEEN_PRECISION = timedelta(minutes=1)  # of LoginSession.last_seen_at; otherwise every read would be a write


def init_app(app: Flask) -> None:
    """Load users by their LoginSession, and connect its begin and end to the signals of Flask-Security."""
    app.login_manager.user_loader(load_user)
    user_authenticated.connect(_begin, app)
    password_changed.connect(_end_others_after_change, app)
    user_logged_out.connect(_end, app)


def load_user(uniquifier: str) -> User | None:
    """Return the user of the session cookie, or None if the session has ended. It takes a single SQL statement."""
    query = select(LoginSession).where(LoginSession.id == session.get(KEY, ""), _is_alive())
    query = query.options(joinedload(LoginSession.user).joinedload(User.roles))  # for the menu of every page
    login_session = db.session.scalars(query).unique().one_or_none()
    if login_session is None:
        return None
    user = login_session.user
    if not user.active or user.fs_uniquifier != uniquifier:
        return None
    set_request_attr("fs_authn_via", "session")  # as Flask-Security's loader does
    set_request_attr("fs_paa", session.get("fs_paa", 0))
    if utc_now() - login_session.last_seen_at > LAST_SEEN_PRECISION:
        _touch(login_session.id)
    return user


def current_id() -> str | None:
    """Return the id of the LoginSession of this request."""
    return session.get(KEY)


def list_for(user: User) -> list[LoginSession]:
    """Return the sessions of `user` that have not ended, newest first."""
    query = select(LoginSession).where(LoginSession.user_id == user.id, _is_alive())
    return list(db.session.scalars(query.order_by(LoginSession.created_at.desc()).limit(MAX_SESSIONS)))


def end(user: User, session_id: str) -> bool:
    """End one session of `user`. Return whether it existed."""
    own = (LoginSession.id == session_id, LoginSession.user_id == user.id)
    return db.session.execute(delete(LoginSession).where(*own)).rowcount > 0


def end_others(user: User) -> None:
    """End all sessions of `user` except the one of this request, and make other browsers' device cookies invalid."""
    user.end_sessions(keep=current_id())
    session["_user_id"] = user.get_id()  # Flask-Login's key
    device_cookies.renew(user)


def _is_alive() -> ColumnElement[bool]:
    now = utc_now()
    started = LoginSession.created_at > now - current_app.config["PERMANENT_SESSION_LIFETIME"]
    return started & (LoginSession.last_seen_at > now - current_app.config["SESSION_IDLE_TIMEOUT"])


def _touch(session_id: str) -> None:
    """Store the time of this request. On SQLite, a transaction that began as read-only cannot write (database.py)."""
    db.session.rollback()
    try:
        db.session.execute(update(LoginSession).where(LoginSession.id == session_id).values(last_seen_at=utc_now()))
        db.session.commit()
    except SQLAlchemyError as error:  # the request itself may not need to write
        db.session.rollback()
        current_app.logger.warning("The time of a session's last request was not stored: %s", error)


def _begin(app: Flask, user: User, authn_via: list[str] | None = None, **details) -> None:
    db.session.execute(delete(LoginSession).where(LoginSession.id == session.get(KEY, "")))  # of this browser
    kept = select(LoginSession.id).where(LoginSession.user_id == user.id, _is_alive())
    kept = kept.order_by(LoginSession.created_at.desc()).limit(MAX_SESSIONS - 1)
    db.session.execute(
        delete(LoginSession).where(LoginSession.user_id == user.id, LoginSession.id.not_in(kept)),
        execution_options={"synchronize_session": False},
    )
    user_agent = FORBIDDEN_CHARACTERS.sub("", request.user_agent.string)[:200]
    login_session = LoginSession(user_id=user.id, address=security_events.client_address(), user_agent=user_agent)
    db.session.add(login_session)
    db.session.flush()  # assigns the id
    session[KEY] = login_session.id
    session.permanent = True
    if authn_via != ["change"]:
        security_events.record("login", user)
        security_events.prune()


def _end_others_after_change(app: Flask, user: User, **details) -> None:
    others = (LoginSession.user_id == user.id, LoginSession.id != current_id())
    db.session.execute(delete(LoginSession).where(*others))


def _end(app: Flask, user: User, **details) -> None:
    session_id = session.pop(KEY, None)
    if session_id and end(user, session_id):
        security_events.record("logout", user)
    db.session.commit()
