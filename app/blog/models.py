"""A post, and the rules for its text: the form, the API and the database all follow these."""

import re
from datetime import datetime, timezone

from flask_sqlalchemy.pagination import Pagination
from sqlalchemy import CheckConstraint, Text, select
from sqlalchemy.orm import Mapped, mapped_column

from app.database import UTCDateTime
from app.extensions import db

BODY_MAX = 500  # characters
PER_PAGE = 20
LAST_PAGE = 10**9  # its offset still fits the 64-bit integers of both databases

# Control characters but tab and newline (PostgreSQL cannot store NUL), lone surrogates (UTF-8 has none), and
# U+FFFD, to which bytes that are not UTF-8 have been decoded.
NOT_PLAIN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffd]")


def _now() -> datetime:
    return datetime.now(timezone.utc)


class Post(db.Model):
    """A short note."""

    __table_args__ = (CheckConstraint(f"length(body) BETWEEN 1 AND {BODY_MAX}", name="body_length"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    body: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=_now, index=True)

    @classmethod
    def newest(cls, page: int, per_page: int = PER_PAGE) -> Pagination:
        """Return one page of all posts, newest first; empty if there is no such page."""
        # By id too: two posts of one moment must not change places between two pages.
        query = select(cls).order_by(cls.created_at.desc(), cls.id.desc())
        return db.paginate(query, page=page, per_page=per_page, error_out=False)


def clean_body(text: str) -> str:
    """Return `text` as it may be stored: stripped, each line ending in one newline.

    Raises ValueError, with a message for the user, if it is empty, too long or not plain text.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n")  # browsers send CRLF and count it as one
    if NOT_PLAIN.search(text):
        raise ValueError("This text contains characters that cannot be stored.")
    text = text.strip()
    if not text:
        raise ValueError("Write something first.")
    if len(text) > BODY_MAX:
        raise ValueError(f"This is {len(text)} characters long; {BODY_MAX} is the most.")
    return text
