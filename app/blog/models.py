"""Posts, who follows whom, and the rules for a post's text: form, API and database all follow these."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, Text, delete, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.account.models import User
from app.database import UTCDateTime, db, utc_now
from app.paging import PER_PAGE, Page, part_of
from app.text import NOT_PLAIN

BODY_MAX = 500  # characters


class Follow(db.Model):
    """`follower` wants to read what `followed` writes."""

    __table_args__ = (CheckConstraint("follower_id <> followed_id", name="not_oneself"), Index(None, "followed_id"))

    follower_id: Mapped[int] = mapped_column(ForeignKey("account.id", ondelete="CASCADE"), primary_key=True)
    followed_id: Mapped[int] = mapped_column(ForeignKey("account.id", ondelete="CASCADE"), primary_key=True)

    @classmethod
    def exists(cls, follower: User, followed: User) -> bool:
        """Return whether `follower` follows `followed`."""
        return db.session.get(cls, (follower.id, followed.id)) is not None

    @classmethod
    def add(cls, follower: User, followed: User) -> None:
        """Let `follower` follow `followed`, and commit; no harm if that is so already."""
        try:
            db.session.merge(cls(follower_id=follower.id, followed_id=followed.id))
            db.session.commit()
        except IntegrityError:  # another request was faster
            db.session.rollback()

    @classmethod
    def remove(cls, follower: User, followed: User) -> None:
        """Let `follower` no longer follow `followed`, and commit."""
        db.session.execute(delete(cls).where(cls.follower_id == follower.id, cls.followed_id == followed.id))
        db.session.commit()

    @classmethod
    def counts(cls, user: User) -> tuple[int, int]:
        """Return how many follow `user`, and how many `user` follows."""
        followers = select(func.count()).where(cls.followed_id == user.id).scalar_subquery()
        following = select(func.count()).where(cls.follower_id == user.id).scalar_subquery()
        return tuple(db.session.execute(select(followers, following)).one())


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
        limit=PER_PAGE,
        author: User | None = None,
        followed_by: User | None = None,
        search: str | None = None,
    ) -> Page:
        """Return the posts that are not hidden, newest first: older than the id `before`, and as the rest says.

        `followed_by`: only of those whom this user follows, and this user's own. `search`: only with this text
        in the body, in lower or upper case. One statement, whatever is asked.
        """
        conditions = [cls.hidden_at.is_(None)]
        if author:
            conditions.append(cls.author_id == author.id)
        if followed_by:
            followed = select(Follow.followed_id).where(Follow.follower_id == followed_by.id)
            conditions.append(cls.author_id.in_(followed) | (cls.author_id == followed_by.id))
        if search:
            conditions.append(cls.body.icontains(search, autoescape=True))
        return part_of(cls, before, *conditions, limit=limit)

    @classmethod
    def visible(cls, post_id: int, lock: bool = False) -> "Post":
        """Return the post of this id, locked if need be. Raises NotFound if there is none, or it is hidden."""
        query = select(cls).where(cls.id == post_id, cls.hidden_at.is_(None))
        return db.one_or_404(query.with_for_update(of=cls) if lock else query)

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
