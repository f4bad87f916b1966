"""Password hashing outside of database transactions.

A hash takes 25 ms, and much longer on a busy machine. SQLite has a single write lock, which a request that writes takes
when its transaction begins (database.py). No other request could write while a password is hashed.
"""

from typing import Any

from flask import g, has_request_context
from sqlalchemy import inspect
from werkzeug.exceptions import Conflict

from app.account.models import User
from app.database import db


class PasswordContext:
    """Wraps Flask-Security's CryptContext. It ends the transaction first, which has only read at that point."""

    def __init__(self, context: Any):
        self._context = context

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)

    def hash(self, secret: str, **options: Any) -> str:
        """Return the hash of a password. Raises Conflict if the user's password has been changed in the meantime."""
        users = _end_transaction()
        password_hash = self._context.hash(secret, **options)
        _require_same_passwords(users)
        return password_hash

    def verify(self, secret: str, password_hash: str, **options: Any) -> bool:
        """Return whether a password is correct. Raises Conflict if it was, but has been changed in the meantime."""
        users = _end_transaction()
        is_correct = self._context.verify(secret, password_hash, **options)
        if is_correct:
            _require_same_passwords(users)
        return is_correct


def _end_transaction() -> dict[User, str | None]:
    """End the transaction of a request that has not changed anything yet. Return the passwords of the loaded users."""
    session = db.session()
    if not has_request_context() or session.new or session.dirty or session.deleted:
        return {}
    users = [user for user in session if isinstance(user, User) and not inspect(user).expired]
    passwords = {user: user.password for user in users}
    session.rollback()
    g.password_is_hashed = True  # for database.py
    return passwords


def _require_same_passwords(users: dict[User, str | None]) -> None:
    if any(user.password != password for user, password in users.items()):
        raise Conflict("The password has been changed by another request. Please try again.")
