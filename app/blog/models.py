"""Posts and follows. The rules for the text of a post apply to the form, the API and the database."""

from datetime import datetime, timedelta

from sqlalchemy import CheckConstraint, ColumnElement, ForeignKey, Index, Text, delete, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.account.models import User
from app.blog.search import matches, post_search
from app.database import UTCDateTime, db, utc_now
from app.pagination import PER_PAGE, Page, paginate
from app.validation import FORBIDDEN_CHARACTERS, FORBIDDEN_CHARACTERS_MESSAGE, is_visible

BODY_MAX = 500  # characters
REPEAT_WINDOW = timedelta(seconds=10)  # in which a second post with the same text counts as a repeated request


class Follow(db.Model):
    """`follower` sees the posts of `followed` in their timeline."""

    __table_args__ = (CheckConstraint("follower_id <> followed_id", name="not_oneself"), Index(None, "followed_id"))

    follower_id: Mapped[int] = mapped_column(ForeignKey("account.id", ondelete="CASCADE"), primary_key=True)
    followed_id: Mapped[int] = mapped_column(ForeignKey("account.id", ondelete="CASCADE"), primary_key=True)

    @classmethod
    def exists(cls, follower: User, followed: User) -> bool:
        """Return whether `follower` follows `followed`."""
        return db.session.get(cls, (follower.id, followed.id)) is not None

    @classmethod
    def add(cls, follower: User, followed: User) -> None:
        """Make `follower` follow `followed`, and commit. Idempotent."""
        try:
            db.session.merge(cls(follower_id=follower.id, followed_id=followed.id))
            db.session.commit()
        except IntegrityError:  # a concurrent request has added the same follow
            db.session.rollback()

    @classmethod
    def remove(cls, follower: User, followed: User) -> None:
        """Make `follower` unfollow `followed`, and commit. Idempotent."""
        db.session.execute(delete(cls).where(cls.follower_id == follower.id, cls.followed_id == followed.id))
        db.session.commit()

    @classmethod
    def counts(cls, user: User) -> tuple[int, int]:
        """Return the number of followers of `user` and the number of users that `user` follows."""
        followers = select(func.count()).where(cls.followed_id == user.id).scalar_subquery()
        following = select(func.count()).where(cls.follower_id == user.id).scalar_subquery()
        return tuple(db.session.execute(select(followers, following)).one())


class Post(db.Model):
    """A post. Ids increase with time, so timelines are ordered and paginated by id."""

    __table_args__ = (
        CheckConstraint(f"length(body) BETWEEN 1 AND {BODY_MAX}", name="body_length"),
        Index(None, "author_id", "id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    body: Mapped[str] = mapped_column(Text)
    author_id: Mapped[int] = mapped_column(ForeignKey("account.id"))
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utc_now)
    updated_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    hidden_at: Mapped[datetime | None] = mapped_column(UTCDateTime)  # set by an admin

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
        """Return a page of the posts that are not hidden, newest first. It takes a single SQL statement.

        before: only posts with a lower id. author: only posts by this user. followed_by: only posts by this user and
        by the users they follow. search: only posts that contain these words (search.py).
        """
        conditions = [cls.hidden_at.is_(None)]
        if author:
            conditions.append(cls.author_id == author.id)
        if followed_by:
            followed = select(Follow.followed_id).where(Follow.follower_id == followed_by.id)
            conditions.append(cls.author_id.in_(followed) | (cls.author_id == followed_by.id))
        return cls.page(before, *conditions, limit=limit, search=search)

    @classmethod
    def page(
        cls, before: int | None, *conditions: ColumnElement, limit: int = PER_PAGE, search: str | None = None
    ) -> Page:
        """Return a page of the posts that match all `conditions` and contain the words of `search`, newest first."""
        if not search:
            return paginate(cls, before, *conditions, limit=limit)
        condition = matches(search)
        if condition is None:
            return Page([], None)
        conditions += (post_search.c.rowid == cls.id, condition)
        return paginate(cls, before, *conditions, limit=limit, key=post_search.c.rowid)

    @classmethod
    def visible_or_404(cls, post_id: int, lock: bool = False) -> "Post":
        """Return a post, optionally with a row lock. Raises NotFound if it does not exist or is hidden."""
        query = select(cls).where(cls.id == post_id, cls.hidden_at.is_(None))
        if lock:
            query = query.with_for_update(of=cls)
        return db.one_or_404(query)

    @classmethod
    def publish(cls, author: User, body: str) -> "Post":
        """Add a post, and commit. A form that is submitted twice, by a double click for example, adds one post."""
        # The lock on the author's row makes the second request wait for the first.
        db.session.execute(select(User.id).where(User.id == author.id).with_for_update(key_share=True))
        post = db.session.scalar(select(cls).where(cls.author_id == author.id).order_by(cls.id.desc()).limit(1))
        is_repeated = post is not None and post.body == body and utc_now() - post.created_at < REPEAT_WINDOW
        if not is_repeated:
            post = cls(author_id=author.id, body=body)
            db.session.add(post)
        db.session.commit()
        return post

    def edit(self, body: str) -> None:
        """Replace the text with `body`, which must be cleaned already."""
        self.body = body
        self.updated_at = utc_now()


def clean_body(text: str) -> str:
    """Return `text` as it is stored: without surrounding whitespace, with lines that end in a single newline.

    Raises ValueError, with a message for the user, if it is empty, too long or contains forbidden characters.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n")  # browsers send CRLF; it counts as one character
    if FORBIDDEN_CHARACTERS.search(text):
        raise ValueError(FORBIDDEN_CHARACTERS_MESSAGE)
    text = text.strip()
    if not is_visible(text):
        raise ValueError("Write something first.")
    if len(text) > BODY_MAX:
        raise ValueError(f"The text is {len(text)} characters long. The maximum is {BODY_MAX}.")
    return text
