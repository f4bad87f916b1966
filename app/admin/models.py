"""What admins have done, which all admins can read; and what they look for."""

from datetime import datetime, timedelta
from typing import Self

from sqlalchemy import ForeignKey, String, Text, func, or_, select
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.account.models import User
from app.blog.models import Follow, Post
from app.database import UTCDateTime, db, utc_now
from app.paging import Page, part_of


class AdminAction(db.Model):
    """One action of an admin on a target, such as `hide` on `post 7`."""

    id: Mapped[int] = mapped_column(primary_key=True)
    admin_id: Mapped[int] = mapped_column(ForeignKey("account.id"))
    action: Mapped[str] = mapped_column(String(40))
    target: Mapped[str] = mapped_column(String(80))
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utc_now)
    note: Mapped[str | None] = mapped_column(Text)

    admin: Mapped[User] = relationship(lazy="joined", innerjoin=True)

    @classmethod
    def latest(cls) -> list[Self]:
        """Return the newest records."""
        return part_of(cls, None).items


def find_users(text: str, before: int | None) -> Page:
    """Return the users whose name or email contains `text`, newest first."""
    found = [column.icontains(text, autoescape=True) for column in (User.username, User.email)]
    return part_of(User, before, or_(*found))


def find_posts(text: str, before: int | None) -> Page:
    """Return the posts whose body contains `text`, newest first, hidden ones as well."""
    return part_of(Post, before, Post.body.icontains(text, autoescape=True))


def figures() -> dict[str, int]:
    """Return how much there is of what, in one statement."""
    yesterday = utc_now() - timedelta(days=1)
    counted = {
        "accounts": select(User.id),
        "active accounts": select(User.id).where(User.active),
        "accounts with a log-in in the last 24 hours": select(User.id).where(User.current_login_at > yesterday),
        "notes": select(Post.id),
        "notes of the last 24 hours": select(Post.id).where(Post.created_at > yesterday),
        "hidden notes": select(Post.id).where(Post.hidden_at.is_not(None)),
        "follows": select(Follow.follower_id),
    }
    counts = [select(func.count()).select_from(query.subquery()).scalar_subquery() for query in counted.values()]
    return dict(zip(counted, db.session.execute(select(*counts)).one(), strict=True))
