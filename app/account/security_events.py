"""Security events: logins, failed logins, locks, and changes of passwords, tokens, sessions and roles.

Each event is a log line of the logger `app.security` and a row that the user (/account/sessions) and the admins
(/admin/events) can see. Their form is documented in docs/reference/sample-app.md. Events that the user should know of
at once are also mailed.
"""

import ipaddress
import logging
from datetime import datetime, timedelta

from flask import current_app, has_request_context, render_template, request
from flask_login import UserMixin, current_user
from sqlalchemy import ForeignKey, Index, String, delete, insert
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app import mail
from app.database import UTCDateTime, db, utc_now
from app.pagination import Page, paginate

RETENTION = timedelta(days=90)

EVENTS = {
    "login": "Login",
    "login_failed": "Failed login",
    "logout": "Logout",
    "account_locked": "Account locked after too many wrong passwords",
    "account_unlocked": "Account unlocked",
    "account_closed": "Account closed",
    "account_reopened": "Account reopened",
    "email_confirmed": "Email address confirmed",
    "password_changed": "Password changed",
    "password_reset": "Password reset with a mailed link",
    "sessions_ended": "Sessions ended",
    "token_created": "API token created",
    "token_revoked": "API token revoked",
    "tokens_revoked": "All API tokens revoked",
    "admin_granted": "Admin role granted",
    "admin_revoked": "Admin role revoked",
}
WARNINGS = {"login_failed", "account_locked"}  # logged as warnings, the others as information

log = logging.getLogger("app.security")


class SecurityEvent(db.Model):
    """A security event. `user` is None for failed logins without an account."""

    __table_args__ = (Index(None, "user_id", "id"), Index(None, "created_at"))

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int | None] = mapped_column(ForeignKey("account.id", ondelete="CASCADE"))
    event: Mapped[str] = mapped_column(String(40))
    address: Mapped[str | None] = mapped_column(String(64))
    detail: Mapped[str | None] = mapped_column(String(200))
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utc_now)

    user = relationship("User", lazy="joined")

    @property
    def text(self) -> str:
        """The event in words."""
        return EVENTS.get(self.event, self.event)

    @classmethod
    def page(cls, before: int | None, user: UserMixin | None = None) -> Page:
        """Return a page of the events, newest first, of all users or of one."""
        return paginate(cls, before, *([] if user is None else [cls.user_id == user.id]))


def record(event: str, user: UserMixin, detail: str | None = None, notify: bool = False) -> None:
    """Log an event and add its row to the transaction. notify: also mail it to the user.

    What an operator does on the command line is not mailed: links in mails lead to the host of a request.
    """
    if user.id is None:
        db.session.flush()  # assigns the id of a new user
    store(event, user.id, user.username, detail)
    if notify and has_request_context():
        _mail(event, user, detail)


def store(event: str, user_id: int | None, username: str | None, detail: str | None = None) -> None:
    """Log an event and add its row, with a single statement. `user_id` and `username` are None without an account."""
    address = client_address()
    level = logging.WARNING if event in WARNINGS else logging.INFO
    fields = {"event": event, "user": username, "address": address, "detail": detail}
    text = " ".join(f"{name}={value}" for name, value in fields.items() if value is not None and name != "detail")
    log.log(level, "%s", text, extra=fields)
    row = {"event": event, "user_id": user_id, "address": address, "detail": detail, "created_at": utc_now()}
    db.session.execute(insert(SecurityEvent).values(**row))


def prune() -> None:
    """Delete events that are older than RETENTION."""
    db.session.execute(delete(SecurityEvent).where(SecurityEvent.created_at < utc_now() - RETENTION))


def actor() -> str:
    """Return the detail of an event that names the admin of the request, or the command line."""
    if has_request_context() and current_user.is_authenticated:
        return f"by {current_user.username}"
    return "by the command line"


def client_address() -> str | None:
    """Return the client's IP address, or None outside of requests and for text that is no address."""
    if not has_request_context():
        return None
    try:
        return str(ipaddress.ip_address(request.remote_addr or ""))
    except ValueError:  # a proxy can send any text, which must not get into the log
        return None


def _mail(event: str, user: UserMixin, detail: str | None) -> None:
    address = client_address()
    body = render_template(
        "account/security_notice.txt", user=user, text=EVENTS[event], detail=detail, address=address, time=utc_now()
    )
    sender = current_app.config["SECURITY_EMAIL_SENDER"]
    mail.deliver(current_app, mail.compose(str(sender), user.email, EVENTS[event], body))
