"""A POST that is sent again because its answer was lost does nothing twice.

As draft-ietf-httpapi-idempotency-key-header has it. What the request does and the answer to it are stored in one
transaction: a crash leaves both or nothing behind, and no lock outlives it.
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
from app.text import NOT_PLAIN

HEADER = "Idempotency-Key"
KEY_MAX = 255  # characters
KEPT = timedelta(hours=24)


class InProgress(Conflict):
    """A 409 that is soon over."""

    def get_headers(self, *arguments, **named) -> list[tuple[str, str]]:
        return [*super().get_headers(*arguments, **named), ("Retry-After", "1")]


class Answer(db.Model):
    """What a POST with this key was answered."""

    user_id: Mapped[int] = mapped_column(ForeignKey("account.id", ondelete="CASCADE"), primary_key=True)
    key: Mapped[str] = mapped_column(String(KEY_MAX), primary_key=True)
    request_digest: Mapped[str] = mapped_column(String(64))
    status: Mapped[int]
    location: Mapped[str | None] = mapped_column(Text)
    body: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utc_now, index=True)

    @classmethod
    def find(cls, key: str) -> Self | None:
        """Return the answer that was given to this user under `key` in the last 24 hours."""
        recent = cls.created_at > utc_now() - KEPT
        return db.session.scalar(select(cls).where(cls.user_id == g.user.id, cls.key == key, recent))

    @classmethod
    def keep(cls, key: str, digest: str, response: Response) -> None:
        """Add the answer to the session, and remove those that are too old."""
        old = select(cls.user_id, cls.key).where(cls.created_at <= utc_now() - KEPT).with_for_update(skip_locked=True)
        db.session.execute(delete(cls).where(tuple_(cls.user_id, cls.key).in_(old)))
        stored = {"status": response.status_code, "location": response.location, "body": response.get_data(True)}
        db.session.add(cls(user_id=g.user.id, key=key, request_digest=digest, **stored))

    def response(self) -> Response:
        """Return the answer as it was."""
        headers = {"Location": self.location} if self.location else {}
        return Response(self.body, self.status, headers, mimetype="application/json")


def once(view: Callable) -> Callable:
    """Decorate a view that adds something, and flushes but does not commit: this does, with the answer if need be."""

    @wraps(view)
    def answer(*args, **kwargs) -> Response:
        key = _key()
        if key is not None:
            _lock(key)
            if stored := Answer.find(key):
                return _again(stored)
        response = current_app.make_response(view(*args, **kwargs))
        if key is not None:
            Answer.keep(key, _digest(), response)
        db.session.commit()
        return response

    return answer


def _key() -> str | None:
    """Return the key. It is a string of RFC 9651, in quotes, but many clients leave these out."""
    key = request.headers.get(HEADER)
    if key is not None:
        key = key.removeprefix('"').removesuffix('"')
        if not 1 <= len(key) <= KEY_MAX or NOT_PLAIN.search(key):
            abort(422, "Validation error", {"headers": {HEADER: [f"This is not 1 to {KEY_MAX} plain characters."]}})
    return key


def _lock(key: str) -> None:
    """Keep others with the same key out until the transaction ends. Raises Conflict if one of them is at work.

    On SQLite they wait: the transaction of a write has the database for itself (database.py).
    """
    if db.engine.dialect.name == "postgresql":
        lock = func.pg_try_advisory_xact_lock(func.hashtextextended(f"{g.user.id} {key}", 0))
        if not db.session.scalar(select(lock)):
            raise InProgress("A request with this key is just being answered.")


def _again(stored: Answer) -> Response:
    if stored.request_digest != _digest():
        abort(422, "Validation error", {"headers": {HEADER: ["This key belongs to another request."]}})
    return stored.response()


def _digest() -> str:
    about = f"{request.method} {request.full_path}\n".encode(errors="surrogateescape")
    return hashlib.sha256(about + request.get_data()).hexdigest()
