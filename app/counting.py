"""Counts for the rate limits in the app's own database, where all workers and servers find them."""

import time

from limits.storage import Storage
from sqlalchemy import Float, String, delete, select, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Mapped, mapped_column

from app.database import db


class RateLimit(db.Model):
    """How many tries there were in a window of time."""

    key: Mapped[str] = mapped_column(String(255), primary_key=True)
    hits: Mapped[int]
    expires_at: Mapped[float] = mapped_column(Float(53), index=True)  # seconds since 1970


# One statement, so that no two workers can read the same count. A window that is over begins anew.
COUNT = text("""
    INSERT INTO rate_limit (key, hits, expires_at) VALUES (:key, :amount, :ends)
    ON CONFLICT (key) DO UPDATE SET
        hits = CASE WHEN rate_limit.expires_at <= :now THEN :amount ELSE rate_limit.hits + :amount END,
        expires_at = CASE WHEN rate_limit.expires_at <= :now THEN :ends ELSE rate_limit.expires_at END
    RETURNING hits
""")


class DatabaseStorage(Storage):
    """What the package limits wants of a storage. Each method commits: a request that fails has been counted."""

    STORAGE_SCHEME = None
    base_exceptions = SQLAlchemyError

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Add `amount` to the window of `key`, which lasts `expiry` seconds from its first try; return its count."""
        db.session.rollback()  # a transaction that has only read so far could not write (database.py)
        now = time.time()
        hits = db.session.scalar(COUNT, {"key": key, "amount": amount, "now": now, "ends": now + expiry})
        db.session.commit()
        if hits == amount:  # a new window, which makes the table grow
            self._sweep()
        return hits

    def _sweep(self) -> None:
        """Remove windows that are over, but for those that another worker is just using."""
        old = select(RateLimit.key).where(RateLimit.expires_at < time.time()).with_for_update(skip_locked=True)
        db.session.execute(delete(RateLimit).where(RateLimit.key.in_(old)))
        db.session.commit()

    def get(self, key: str) -> int:
        """Return the count of the window of `key`, 0 if there is none."""
        window = select(RateLimit.hits).where(RateLimit.key == key, RateLimit.expires_at > time.time())
        return db.session.scalar(window) or 0

    def get_expiry(self, key: str) -> float:
        """Return when the window of `key` ends, in seconds since 1970; now, if there is none."""
        return db.session.scalar(select(RateLimit.expires_at).where(RateLimit.key == key)) or time.time()

    def check(self) -> bool:
        """Return True; raises SQLAlchemyError if the table cannot be read."""
        db.session.scalar(select(RateLimit.hits).limit(1))
        return True

    def reset(self) -> int:
        """Forget all windows; return how many there were."""
        rows = db.session.execute(delete(RateLimit)).rowcount
        db.session.commit()
        return rows

    def clear(self, key: str) -> None:
        """Forget the window of `key`."""
        db.session.execute(delete(RateLimit).where(RateLimit.key == key))
        db.session.commit()
