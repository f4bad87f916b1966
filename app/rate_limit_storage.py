"""Storage for rate limits in the app's database, so that all worker processes and servers share the counts."""

import time

from limits.storage import Storage
from sqlalchemy import Float, String, delete, select, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Mapped, mapped_column

from app.database import db


class RateLimit(db.Model):
    """The number of hits in a fixed window."""

    key: Mapped[str] = mapped_column(String(255), primary_key=True)
    hits: Mapped[int]
    expires_at: Mapped[float] = mapped_column(Float(53), index=True)  # Unix time in seconds


# A single statement, so that two workers cannot read the same count. An expired window starts again.
INCREMENT = text("""
    INSERT INTO rate_limit (key, hits, expires_at) VALUES (:key, :amount, :ends)
    ON CONFLICT (key) DO UPDATE SET
        hits = CASE WHEN rate_limit.expires_at <= :now THEN :amount ELSE rate_limit.hits + :amount END,
        expires_at = CASE WHEN rate_limit.expires_at <= :now THEN :ends ELSE rate_limit.expires_at END
    RETURNING hits
""")


class DatabaseStorage(Storage):
    """The storage interface of the package `limits`. Writes are committed, so that failed requests count too.

    https://limits.readthedocs.io/en/stable/custom-storage.html
    """

    STORAGE_SCHEME = None
    base_exceptions = SQLAlchemyError

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Add `amount` to the window of `key`, which ends `expiry` seconds after its first hit. Return the count."""
        # On SQLite, a transaction that began as read-only cannot write (database.py).
        db.session.rollback()
        now = time.time()
        hits = db.session.scalar(INCREMENT, {"key": key, "amount": amount, "now": now, "ends": now + expiry})
        db.session.commit()
        is_new_window = hits == amount
        if is_new_window:  # only new windows make the table grow
            self._delete_expired()
        return hits

    def _delete_expired(self) -> None:
        """Delete expired windows, except rows that another worker has locked."""
        expired = select(RateLimit.key).where(RateLimit.expires_at < time.time()).with_for_update(skip_locked=True)
        db.session.execute(delete(RateLimit).where(RateLimit.key.in_(expired)))
        db.session.commit()

    def get(self, key: str) -> int:
        """Return the count of the current window of `key`, 0 if there is none."""
        query = select(RateLimit.hits).where(RateLimit.key == key, RateLimit.expires_at > time.time())
        return db.session.scalar(query) or 0

    def get_expiry(self, key: str) -> float:
        """Return the Unix time at which the window of `key` ends, or the current time if there is none."""
        query = select(RateLimit.expires_at).where(RateLimit.key == key)
        return db.session.scalar(query) or time.time()

    def check(self) -> bool:
        """Return True if the table can be read. Raises SQLAlchemyError otherwise."""
        db.session.scalar(select(RateLimit.hits).limit(1))
        return True

    def reset(self) -> int:
        """Delete all windows and return their number."""
        deleted = db.session.execute(delete(RateLimit)).rowcount
        db.session.commit()
        return deleted

    def clear(self, key: str) -> None:
        """Delete the window of `key`."""
        db.session.execute(delete(RateLimit).where(RateLimit.key == key))
        db.session.commit()
