"""Posts, who follows whom, and the rules for a post's text: form, API and database all follow these."""

import re
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, Text, select
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.account.models import User
from app.database import UTCDateTime, utc_now
from app.extensions import db

BODY_MAX = 500  # characters
PER_PAGE = 50
ID_MAX = 2**31 - 1  # the largest that PostgreSQL's integer holds

# Control characters but tab and newline (PostgreSQL cannot store NUL), lone surrogates (UTF-8 has none), and
# U+FFFD, to which bytes that are not UTF-8 have been decoded.
NOT_PLAIN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffd]")


@dataclass(frozen=True)
class Page:
    """A part of a timeline, newest first. `older` is the `before` of the next part, None if there is none."""

    items: list["Post"]
    older: int | None


class Follow(db.Model):
    """`follower` wants to read what `followed` writes."""

    __table_args__ = (CheckConstraint("follower_id <> followed_id", name="not_oneself"), Index(None, "followed_id"))

    follower_id: Mapped[int] = mapped_column(ForeignKey("account.id", ondelete="CASCADE"), primary_key=True)
    followed_id: Mapped[int] = mapped_column(ForeignKey("account.id", ondelete="CASCADE"), primary_key=True)


class Post(db.Model):
    """A short note. Ids rise with time, so they order a timeline and page through it."""

    __table_args__ = (
        CheckConstraint(f"length(body) BETWEEN 1 AND {BODY_MAX}", name="body_length"),
        Index(None, "author_id", "id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    body: Mapped[str] = mapped_column(Text)
    author_id: Mapped[int] = mapped_column(ForeignKey("account.id"))
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utc_now)
    updated_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    hidden_at: Mapped[datetime | None] = mapped_column(UTCDateTime)  # by an admin

    author: Mapped[User] = relationship(lazy="joined", innerjoin=True)

    @classmethod
    def timeline(
        cls,
        before: int | None = None,
        limit: int = PER_PAGE,
        author: User | None = None,
        followed_by: User | None = None,
        search: str | None = None,
    ) -> Page:
        """Return the posts that are not hidden, newest first: older than the id `before`, and as the rest says.

        `followed_by`: only of those whom this user follows, and this user's own. `search`: only with this text
        in the body, in lower or upper case. One statement, whatever is asked.
        """
        query = select(cls).where(cls.hidden_at.is_(None)).order_by(cls.id.desc()).limit(limit + 1)
        if before is not None:
            query = query.where(cls.id < before)
        if author:
            query = query.where(cls.author_id == author.id)
        if followed_by:
            followed = select(Follow.followed_id).where(Follow.follower_id == followed_by.id)
            query = query.where(cls.author_id.in_(followed) | (cls.author_id == followed_by.id))
        if search:
            query = query.where(cls.body.icontains(search, autoescape=True))
        posts = list(db.session.scalars(query))
        return Page(posts[:limit], posts[limit - 1].id if len(posts) > limit else None)

    @classmethod
    def visible(cls, post_id: int) -> "Post":
        """Return the post of this id. Raises NotFound if there is none, or it is hidden."""
        return db.one_or_404(select(cls).where(cls.id == post_id, cls.hidden_at.is_(None)))

    def edit(self, body: str) -> None:
        """Change the text, which must have been cleaned."""
        self.body, self.updated_at = body, utc_now()


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
