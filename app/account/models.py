"""Users, roles, sessions and API tokens."""

import hashlib
import re
import secrets
import uuid
from datetime import datetime, timedelta
from typing import Self

from flask import abort, request
from flask_security import RoleMixin, UserMixin, hash_password, verify_password
from sqlalchemy import (
    CheckConstraint,
    Column,
    ColumnElement,
    ForeignKey,
    Index,
    String,
    Table,
    and_,
    delete,
    func,
    inspect,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app import device_cookies
from app.account import security_events
from app.database import UTCDateTime, db, utc_now
from app.extensions import security
from app.pagination import PER_PAGE, Page, paginate

USERNAME = re.compile(r"[a-z0-9_]{3,30}")  # usernames are part of URLs
ADMIN = "admin"  # the only role of this app
TOKEN_PREFIX = "tripod_"  # makes leaked tokens recognizable for secret scanners
MAX_FAILED_LOGINS = 20  # consecutive wrong passwords after which the account is locked
LOCK_DURATION = timedelta(minutes=15)
MAX_TOKENS = 50  # of one user
READ, WRITE = "read", "write"  # the scopes of tokens; `write` includes `read`
TOKEN_DAYS = 90  # default lifetime of a token
MAX_TOKEN_DAYS = 365

roles_users = Table(
    "roles_users",
    db.metadata,
    Column("user_id", ForeignKey("account.id", ondelete="CASCADE"), primary_key=True),
    Column("role_id", ForeignKey("role.id", ondelete="CASCADE"), primary_key=True),
)


class Role(RoleMixin, db.Model):
    """A named role that grants permissions to users."""

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(80), unique=True)
    description: Mapped[str | None] = mapped_column(String(255))


class User(UserMixin, db.Model):
    """A user account. Accounts are deactivated, never deleted, so that posts and admin actions keep their author."""

    __tablename__ = "account"  # "user" is a reserved word of PostgreSQL
    __table_args__ = (
        CheckConstraint("length(username) BETWEEN 3 AND 30", name="username_length"),
        CheckConstraint("username = lower(username)", name="username_lower"),
        CheckConstraint("email = lower(email)", name="email_lower"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(String(255), unique=True)
    username: Mapped[str] = mapped_column(String(30), unique=True)
    password: Mapped[str | None] = mapped_column(String(255))  # a hash; None: login is not possible
    active: Mapped[bool] = mapped_column(default=True)
    fs_uniquifier: Mapped[str] = mapped_column(
        String(64), unique=True
    )  # part of each session; a new value ends them all
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utc_now)
    confirmed_at: Mapped[datetime | None] = mapped_column(UTCDateTime)  # None: not confirmed yet
    failed_logins: Mapped[int] = mapped_column(default=0)  # consecutive
    locked_until: Mapped[datetime | None] = mapped_column(UTCDateTime)

    # Updated by Flask-Security at each login (SECURITY_TRACKABLE).
    login_count: Mapped[int | None]
    last_login_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    last_login_ip: Mapped[str | None] = mapped_column(String(64))
    current_login_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    current_login_ip: Mapped[str | None] = mapped_column(String(64))

    roles: Mapped[list[Role]] = relationship(secondary=roles_users)

    def __init__(self, **values):
        # Not a column default, because SQLAlchemy would apply it to an explicit None (not confirmed) as well.
        values.setdefault("confirmed_at", utc_now())
        super().__init__(**values)

    @property
    def is_admin(self) -> bool:
        """Whether the user may open /admin."""
        return self.has_role(ADMIN)

    @property
    def locked(self) -> bool:
        """Whether logins are currently rejected, even with the correct password."""
        return self.locked_until is not None and self.locked_until > utc_now()

    def is_locked(self, form_error: list[str] | None = None) -> bool:
        """Return whether to reject this login. Flask-Security calls this after it has checked the password.

        A browser with a device cookie can still log in, and a password reset by mail unlocks the account.
        """
        if not self.locked:
            return False
        if device_cookies.device_id(self.email) or request.endpoint == "security.forgot_password":
            return False
        if form_error is not None:
            # Never shown: the response must not reveal that the password is correct (RETURN_GENERIC_RESPONSES).
            form_error.append("locked")
        return True

    def has_password(self, password: str) -> bool:
        """Return whether `password` is correct."""
        return verify_password(security.password_util.normalize(password), self.password)

    def verify_and_update_password(self, password: str) -> bool:
        """Return whether `password` is correct. If so, rehash it when the hash parameters have changed (auth.ARGON2).

        Called by Flask-Security.
        """
        if not self.has_password(password):
            return False
        if security.pwd_context.needs_update(self.password):
            self.password = hash_password(password)
        return True

    def track_failed_authn(self, auth_type: str, tfa: bool = False) -> None:
        """Count a failed login. Called by Flask-Security."""
        count_failed_login(self)

    def unlock(self) -> None:
        """Reset the failed logins and the lock."""
        self.failed_logins = 0
        self.locked_until = None

    def deactivate(self) -> None:
        """Close the account and revoke its credentials, so that they stay invalid if the account is reopened."""
        self.active = False
        self.revoke_tokens()
        self.end_sessions()

    def revoke_tokens(self) -> None:
        """Revoke all API tokens."""
        db.session.execute(delete(ApiToken).where(ApiToken.user_id == self.id))

    def end_sessions(self, keep: str | None = None) -> None:
        """End all sessions except the one with the id `keep`, and make all device cookies invalid."""
        self.fs_uniquifier = uuid.uuid4().hex
        condition = LoginSession.id != keep if keep else True
        db.session.execute(delete(LoginSession).where(LoginSession.user_id == self.id, condition))

    @staticmethod
    def lock_admins() -> None:
        """Make concurrent changes of admins wait until the end of the transaction.

        On SQLite they wait already: a request that writes has the database's write lock (database.py).
        """
        if db.engine.dialect.name == "postgresql":
            db.session.execute(text("LOCK TABLE roles_users IN SHARE ROW EXCLUSIVE MODE"))

    @property
    def is_last_admin(self) -> bool:
        """Whether no other admin can log in. Call lock_admins() first."""
        others = (
            select(func.count())
            .select_from(User)
            .where(User.id != self.id, User.roles.any(Role.name == ADMIN), User.active, User.confirmed_at.is_not(None))
        )
        return self.is_admin and db.session.scalar(others) == 0

    @classmethod
    def by_username(cls, username: str) -> Self | None:
        """Return the user with this username, or None."""
        if not USERNAME.fullmatch(username):  # PostgreSQL rejects queries for text with NUL
            return None
        return db.session.scalar(select(cls).where(cls.username == username))

    @classmethod
    def by_username_or_404(cls, username: str) -> Self:
        """Return the user with this username. Raises NotFound if there is none."""
        return cls.by_username(username) or abort(404)


class LoginSession(db.Model):
    """A session, from a login until the logout. Its id is in the signed session cookie (sessions.py)."""

    __table_args__ = (Index(None, "user_id"),)

    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=lambda: uuid.uuid4().hex)
    user_id: Mapped[int] = mapped_column(ForeignKey("account.id", ondelete="CASCADE"))
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utc_now)
    last_seen_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utc_now)
    address: Mapped[str | None] = mapped_column(String(64))
    user_agent: Mapped[str | None] = mapped_column(String(200))

    user: Mapped[User] = relationship(lazy="joined", innerjoin=True)


class ApiToken(db.Model):
    """An API token: authenticates a program without the password. Only a hash of the token is stored."""

    __table_args__ = (Index(None, "user_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("account.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(String(80))
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    scope: Mapped[str] = mapped_column(String(10), default=WRITE, server_default=WRITE)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utc_now)
    expires_at: Mapped[datetime | None] = mapped_column(UTCDateTime)  # None: created by a release before 0005
    last_used_at: Mapped[datetime | None] = mapped_column(UTCDateTime)

    user: Mapped[User] = relationship(lazy="joined", innerjoin=True)

    @classmethod
    def issue(cls, user: User, name: str, scope: str = WRITE, days: int = TOKEN_DAYS) -> tuple[Self, str]:
        """Add a new token to the database session. Return it and its plain text, which is not stored."""
        plain_text = TOKEN_PREFIX + secrets.token_urlsafe(32)
        expires_at = utc_now() + timedelta(days=days)
        token = cls(user_id=user.id, name=name, digest=_digest(plain_text), scope=scope, expires_at=expires_at)
        db.session.add(token)
        return token, plain_text

    @classmethod
    def make_room(cls, user: User) -> bool:
        """Delete the expired tokens of `user`, and return whether another token is allowed (MAX_TOKENS).

        The lock on the user's row makes concurrent requests wait, so that they count each other's tokens.
        """
        db.session.execute(select(User.id).where(User.id == user.id).with_for_update())
        db.session.execute(delete(cls).where(cls.user_id == user.id, cls.expires_at <= utc_now()))
        return db.session.scalar(select(func.count()).where(cls.user_id == user.id)) < MAX_TOKENS

    @classmethod
    def is_valid(cls) -> ColumnElement[bool]:
        """Return the condition that a token has not expired."""
        now = utc_now()
        oldest = now - timedelta(days=MAX_TOKEN_DAYS)
        return or_(cls.expires_at > now, and_(cls.expires_at.is_(None), cls.created_at > oldest))

    @classmethod
    def find(cls, plain_text: str) -> Self | None:
        """Return the token with this plain text, or None if it is unknown or expired, or its user is inactive."""
        token = db.session.scalar(select(cls).where(cls.digest == _digest(plain_text), cls.is_valid()))
        if token is None or not token.user.active:
            return None
        return token

    @classmethod
    def own_or_404(cls, user: User, token_id: int) -> Self:
        """Return this token of `user`. Raises NotFound for tokens of other users, too."""
        return db.one_or_404(select(cls).where(cls.id == token_id, cls.user_id == user.id))

    @classmethod
    def page(cls, user: User, before: int | None = None, limit: int = PER_PAGE) -> Page:
        """Return a page of the tokens of `user`, newest first."""
        return paginate(cls, before, cls.user_id == user.id, limit=limit)


def count_failed_login(user: User | None) -> None:
    """Count a failed login, commit, and lock the account after MAX_FAILED_LOGINS consecutive ones.

    The statements are the same without an account (`user` is None), so that the time does not reveal accounts. The lock
    itself takes longer, but follows only once in MAX_FAILED_LOGINS times.
    """
    db.session.rollback()  # on SQLite, a transaction that began as read-only cannot write (database.py)
    user_id = inspect(user).identity[0] if user else 0  # `user.id` would load the user again
    counted = update(User).where(User.id == user_id).values(failed_logins=User.failed_logins + 1)
    counted = counted.execution_options(synchronize_session=False)
    row = db.session.execute(counted.returning(User.failed_logins, User.username)).one_or_none()
    failures, username = row or (0, None)
    security_events.store("login_failed", user_id or None, username)
    if failures >= MAX_FAILED_LOGINS:
        db.session.refresh(user)
        if not user.locked:  # else an attacker who goes on could fill the owner's mailbox
            security_events.record("account_locked", user, notify=True)
        user.failed_logins = 0
        user.locked_until = utc_now() + LOCK_DURATION
    db.session.commit()


def _digest(plain_text: str) -> str:
    # A token of 32 random bytes cannot be guessed, so a fast hash is enough. Passwords need argon2.
    return hashlib.sha256(plain_text.encode(errors="replace")).hexdigest()
