"""Users, roles and API tokens."""

import hashlib
import re
import secrets
import uuid
from datetime import datetime, timedelta
from typing import Self

from flask import abort, request
from flask_security import RoleMixin, UserMixin, hash_password, verify_password
from sqlalchemy import CheckConstraint, Column, ForeignKey, Index, String, Table, select
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app import device_cookies
from app.database import UTCDateTime, db, utc_now
from app.extensions import security

USERNAME = re.compile(r"[a-z0-9_]{3,30}")  # usernames are part of URLs
ADMIN = "admin"  # the only role of this app
TOKEN_PREFIX = "tripod_"  # makes leaked tokens recognizable for secret scanners
MAX_FAILED_LOGINS = 20  # consecutive wrong passwords after which the account is locked
LOCK_DURATION = timedelta(minutes=15)

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
        """Return whether `password` is correct.

        Hashing is slow, so this ends the transaction first: other requests can write in the meantime (database.py).
        """
        password_hash = self.password
        db.session.rollback()
        is_correct = verify_password(security.password_util.normalize(password), password_hash)
        return is_correct and self.password == password_hash  # the password may have been changed in the meantime

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
        """Count a failed login, and lock the account after MAX_FAILED_LOGINS consecutive ones.

        Called by Flask-Security.
        """
        super().track_failed_authn(auth_type, tfa)
        self.failed_logins = User.failed_logins + 1  # in SQL, because other processes may count at the same time
        db.session.flush()
        if self.failed_logins >= MAX_FAILED_LOGINS:
            self.failed_logins = 0
            self.locked_until = utc_now() + LOCK_DURATION
        db.session.commit()

    def unlock(self) -> None:
        """Reset the failed logins and the lock."""
        self.failed_logins = 0
        self.locked_until = None

    def deactivate(self) -> None:
        """Close the account. All its sessions end, and its tokens are rejected."""
        self.active = False
        self.fs_uniquifier = uuid.uuid4().hex

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


class ApiToken(db.Model):
    """An API token: authenticates a program without the password. Only a hash of the token is stored."""

    __table_args__ = (Index(None, "user_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("account.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(String(80))
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utc_now)
    last_used_at: Mapped[datetime | None] = mapped_column(UTCDateTime)

    user: Mapped[User] = relationship(lazy="joined", innerjoin=True)

    @classmethod
    def issue(cls, user: User, name: str) -> tuple[Self, str]:
        """Add a new token to the database session. Return it and its plain text, which is not stored."""
        plain_text = TOKEN_PREFIX + secrets.token_urlsafe(32)
        token = cls(user_id=user.id, name=name, digest=_digest(plain_text))
        db.session.add(token)
        return token, plain_text

    @classmethod
    def find(cls, plain_text: str) -> Self | None:
        """Return the token with this plain text, or None if it does not exist or its user is inactive."""
        token = db.session.scalar(select(cls).where(cls.digest == _digest(plain_text)))
        if token is None or not token.user.active:
            return None
        return token

    @classmethod
    def own_or_404(cls, user: User, token_id: int) -> Self:
        """Return this token of `user`. Raises NotFound for tokens of other users, too."""
        return db.one_or_404(select(cls).where(cls.id == token_id, cls.user_id == user.id))

    @classmethod
    def for_user(cls, user: User) -> list[Self]:
        """Return the tokens of `user`, newest first."""
        query = select(cls).where(cls.user_id == user.id).order_by(cls.id.desc())
        return list(db.session.scalars(query))


def _digest(plain_text: str) -> str:
    # A token of 32 random bytes cannot be guessed, so a fast hash is enough. Passwords need argon2.
    return hashlib.sha256(plain_text.encode(errors="replace")).hexdigest()
