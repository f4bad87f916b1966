"""Idempotency keys: a POST request that is retried with the same Idempotency-Key is executed only once.

This implements draft-ietf-httpapi-idempotency-key-header. The changes of a request and its response are stored in the
same transaction: after a crash, either both exist or neither, and no lock is left behind.
"""

import hashlib
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import wraps
from typing import Self

from apiflask import abort
from flask import Response, current_app, g, request
from sqlalchemy import ForeignKey, String, Text, delete, func, select, tuple_
from sqlalchemy.orm import Mapped, mapped_column
from werkzeug.exceptions import Conflict

from app.database import UTCDateTime, db, utc_now
from app.validation import FORBIDDEN_CHARACTERS

HEADER = "Idempotency-Key"
KEY_MAX_LENGTH = 255  # characters
RETENTION = timedelta(hours=24)


class RequestInProgress(Conflict):
    """409 with Retry-After: a request with the same key is in progress."""

    def get_headers(self, *args, **kwargs) -> list[tuple[str, str]]:
        """Return the headers of the response."""
        return [*super().get_headers(*args, **kwargs), ("Retry-After", "1")]


class StoredResponse(db.Model):
    """The response to a POST request with an idempotency key."""

    __tablename__ = "answer"

    user_id: Mapped[int] = mapped_column(ForeignKey("account.id", ondelete="CASCADE"), primary_key=True)
    key: Mapped[str] = mapped_column(String(KEY_MAX_LENGTH), primary_key=True)
    request_digest: Mapped[str] = mapped_column(String(64))
    status: Mapped[int]
    location: Mapped[str | None] = mapped_column(Text)
    body: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utc_now, index=True)

    @classmethod
    def find(cls, key: str) -> Self | None:
        """Return the current user's stored response for `key`, or None if there is none or it has expired."""
        query = select(cls).where(
            cls.user_id == g.user.id,
            cls.key == key,
            cls.created_at > utc_now() - RETENTION,
        )
        return db.session.scalar(query)

    @classmethod
    def store(cls, key: str, request_digest: str, response: Response) -> None:
        """Add a response to the database session, and delete expired ones."""
        expired = select(cls.user_id, cls.key).where(cls.created_at <= utc_now() - RETENTION)
        expired = expired.with_for_update(skip_locked=True)  # another request may be deleting them at the same time
        db.session.execute(delete(cls).where(tuple_(cls.user_id, cls.key).in_(expired)))
        stored = cls(
            user_id=g.user.id,
            key=key,
            request_digest=request_digest,
            status=response.status_code,
            location=response.location,
            body=response.get_data(as_text=True),
        )
        db.session.add(stored)

    def to_response(self) -> Response:
        """Return the stored response."""
        headers = {"Location": self.location} if self.location else {}
        return Response(self.body, self.status, headers, mimetype="application/json")


def idempotent(view: Callable) -> Callable:
    """Support idempotency keys for a view. The view must flush, not commit: this decorator commits its changes."""

    @wraps(view)
    def wrapper(*args, **kwargs) -> Response:
        key = _idempotency_key()
        if key is not None:
            _lock(key)
            if stored := StoredResponse.find(key):
                return _replay(stored)
        response = current_app.make_response(view(*args, **kwargs))
        if key is not None:
            StoredResponse.store(key, _request_digest(), response)
        db.session.commit()
        return response

    return wrapper


def _idempotency_key() -> str | None:
    """Return the request's idempotency key without quotes, or None. Aborts with 422 if it is invalid."""
    key = request.headers.get(HEADER)
    if key is None:
        return None
    key = key.removeprefix('"').removesuffix('"')  # RFC 9651 requires the quotes, but many clients omit them
    if not 1 <= len(key) <= KEY_MAX_LENGTH or FORBIDDEN_CHARACTERS.search(key):
        message = f"The key must have 1 to {KEY_MAX_LENGTH} characters, without control characters."
        abort(422, "Validation error", {"headers": {HEADER: [message]}})
    return key


def _lock(key: str) -> None:
    """Lock `key` until the end of the transaction. Raises RequestInProgress if another request has locked it.

    On SQLite, the transaction of a write holds the database's write lock already (database.py), so requests wait.
    """
    if db.engine.dialect.name != "postgresql":
        return
    lock = func.pg_try_advisory_xact_lock(func.hashtextextended(f"{g.user.id} {key}", 0))
    if not db.session.scalar(select(lock)):
        raise RequestInProgress("A request with this key is in progress.")


def _replay(stored: StoredResponse) -> Response:
    if stored.request_digest != _request_digest():
        message = "This key was already used for a different request."
        abort(422, "Validation error", {"headers": {HEADER: [message]}})
    return stored.to_response()


def _request_digest() -> str:
    target = f"{request.method} {request.full_path}\n".encode(errors="surrogateescape")
    return hashlib.sha256(target + request.get_data()).hexdigest()
