"""Who may do what: people, their roles, and the tokens that their programs use."""

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

from app import devices
from app.database import UTCDateTime, db, utc_now
from app.extensions import security

USERNAME = re.compile(r"[a-z0-9_]{3,30}")  # it stands in URLs
ADMIN = "admin"  # the one role that the app knows
TOKEN_PREFIX = "tripod_"  # so that a leaked token is recognised for what it is
FAILED_LOGINS_MAX = 20  # in a row, however slowly; then the account is locked for LOCKED_FOR
LOCKED_FOR = timedelta(minutes=15)

roles_users = Table(
    "roles_users",
    db.metadata,
    Column("user_id", ForeignKey("account.id", ondelete="CASCADE"), primary_key=True),
    Column("role_id", ForeignKey("role.id", ondelete="CASCADE"), primary_key=True),
)


class Role(RoleMixin, db.Model):
    """What a group of people may do, by name."""

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(80), unique=True)
    description: Mapped[str | None] = mapped_column(String(255))


class User(UserMixin, db.Model):
    """A person with an account. Nobody is ever deleted, only made inactive: posts and records keep their author."""

    __tablename__ = "account"  # "user" is a reserved word of PostgreSQL
    __table_args__ = (
        CheckConstraint("length(username) BETWEEN 3 AND 30", name="username_length"),
        CheckConstraint("username = lower(username)", name="username_lower"),
        CheckConstraint("email = lower(email)", name="email_lower"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(String(255), unique=True)
    username: Mapped[str] = mapped_column(String(30), unique=True)
    password: Mapped[str | None] = mapped_column(String(255))  # a hash; none: nobody can log in
    active: Mapped[bool] = mapped_column(default=True)
    fs_uniquifier: Mapped[str] = mapped_column(String(64), unique=True)  # in each session; a new one ends them all
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utc_now)
    confirmed_at: Mapped[datetime | None] = mapped_column(UTCDateTime)  # none: by a mail's link
    failed_logins: Mapped[int] = mapped_column(default=0)  # in a row
    locked_until: Mapped[datetime | None] = mapped_column(UTCDateTime)

    # Written by Flask-Security at each log-in (SECURITY_TRACKABLE).
    login_count: Mapped[int | None]
    last_login_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    last_login_ip: Mapped[str | None] = mapped_column(String(64))
    current_login_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    current_login_ip: Mapped[str | None] = mapped_column(String(64))

    roles: Mapped[list[Role]] = relationship(secondary=roles_users)

    def __init__(self, **values):
        # Not a column's default, which SQLAlchemy would take for an explicit None as well.
        super().__init__(**{"confirmed_at": utc_now()} | values)

    @property
    def is_admin(self) -> bool:
        """Whether this person may use /admin."""
        return self.has_role(ADMIN)

    @property
    def locked(self) -> bool:
        """Whether log-ins are refused for the time being, even with the right password."""
        return self.locked_until is not None and self.locked_until > utc_now()

    def is_locked(self, form_error: list[str] | None = None) -> bool:
        """Tell Flask-Security, which has checked the password, not to let in a locked account.

        Its owner may still come by a browser that is known, or ask for a mail that resets the password and the lock.
        """
        if not self.locked or devices.known(self.email) or request.endpoint == "security.forgot_password":
            return False
        if form_error is not None:
            form_error.append("locked")  # never shown: to a guesser a right password looks like a wrong one
        return True

    def has_password(self, password: str) -> bool:
        """Whether this is the password. Ends the transaction, so that others may write while this takes its time."""
        hashed = self.password
        db.session.rollback()
        return verify_password(password, hashed) and self.password == hashed  # or it was changed meanwhile

    def verify_and_update_password(self, password: str) -> bool:
        """Whether this is the password; if so, hash it anew when ARGON2 has changed. Called by Flask-Security."""
        if not self.has_password(password):
            return False
        if security.pwd_context.needs_update(self.password):
            self.password = hash_password(password)
        return True

    def track_failed_authn(self, auth_type: str, tfa: bool = False) -> None:
        """Count a wrong password; lock the account after FAILED_LOGINS_MAX in a row. Called by Flask-Security."""
        super().track_failed_authn(auth_type, tfa)
        self.failed_logins = User.failed_logins + 1  # in SQL: another process may be counting too
        db.session.flush()
        if self.failed_logins >= FAILED_LOGINS_MAX:
            self.failed_logins, self.locked_until = 0, utc_now() + LOCKED_FOR
        db.session.commit()

    def unlock(self) -> None:
        """Forget the wrong passwords."""
        self.failed_logins, self.locked_until = 0, None

    def deactivate(self) -> None:
        """Close the account: all its sessions end, and its tokens are refused."""
        self.active = False
        self.fs_uniquifier = uuid.uuid4().hex

    @classmethod
    def named(cls, username: str) -> Self | None:
        """Return the user of this name, if there is one."""
        if not USERNAME.fullmatch(username):  # with NUL in it, PostgreSQL could not even look for it
            return None
        return db.session.scalar(select(cls).where(cls.username == username))

    @classmethod
    def named_or_404(cls, username: str) -> Self:
        """Return the user of this name. Raises NotFound."""
        return cls.named(username) or abort(404)


class ApiToken(db.Model):
    """What a program of a user shows instead of a password. Only its hash is stored."""

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
        """Return a new token, added to the session, and its plain text, which nobody can find out again."""
        plain_text = TOKEN_PREFIX + secrets.token_urlsafe(32)
        token = cls(user_id=user.id, name=name, digest=_digest(plain_text))
        db.session.add(token)
        return token, plain_text

    @classmethod
    def find(cls, plain_text: str) -> Self | None:
        """Return the token of this text; None if there is none, or its user is inactive."""
        token = db.session.scalar(select(cls).where(cls.digest == _digest(plain_text)))
        return token if token and token.user.active else None

    @classmethod
    def own_or_404(cls, user: User, token_id: int) -> Self:
        """Return this token of `user`. Raises NotFound for all others: whose they are is nobody's business."""
        return db.one_or_404(select(cls).where(cls.id == token_id, cls.user_id == user.id))

    @classmethod
    def of(cls, user: User) -> list[Self]:
        """Return the tokens of `user`, the newest first."""
        return list(db.session.scalars(select(cls).where(cls.user_id == user.id).order_by(cls.id.desc())))


def _digest(plain_text: str) -> str:
    # 32 random bytes cannot be guessed, so one round of SHA-256 is enough, where a password needs argon2.
    return hashlib.sha256(plain_text.encode(errors="replace")).hexdigest()
