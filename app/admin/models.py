"""The record of admin actions, and the queries of the admin pages."""

from datetime import datetime, timedelta

from sqlalchemy import ForeignKey, String, Text, func, or_, select
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.account.models import User
from app.blog.models import Follow, Post
from app.database import UTCDateTime, db, utc_now
from app.pagination import Page, paginate


class AdminAction(db.Model):
    """A recorded action of an admin on a target, such as `hide` on `post 7`."""

    id: Mapped[int] = mapped_column(primary_key=True)
    admin_id: Mapped[int] = mapped_column(ForeignKey("account.id"))
    action: Mapped[str] = mapped_column(String(40))
    target: Mapped[str] = mapped_column(String(80))
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utc_now)
    reason: Mapped[str | None] = mapped_column("note", Text)

    admin: Mapped[User] = relationship(lazy="joined", innerjoin=True)

    @classmethod
    def page(cls, before: int | None = None) -> Page:
        """Return a page of the actions, newest first."""
        return paginate(cls, before)


def find_users(text: str, before: int | None) -> Page:
    """Return a page of the users whose username or email contains `text`, newest first."""
    in_username = User.username.icontains(text, autoescape=True)
    in_email = User.email.icontains(text, autoescape=True)
    return paginate(User, before, or_(in_username, in_email))


def find_posts(text: str, before: int | None) -> Page:
    """Return a page of the posts whose body contains `text`, newest first, including hidden posts."""
    return paginate(Post, before, Post.body.icontains(text, autoescape=True))


def statistics() -> dict[str, int]:
    """Return the number of accounts, posts and follows. It takes a single SQL statement."""
    yesterday = utc_now() - timedelta(days=1)
    queries = {
        "accounts": select(User.id),
        "active accounts": select(User.id).where(User.active),
        "accounts with a login in the last 24 hours": select(User.id).where(User.current_login_at > yesterday),
        "posts": select(Post.id),
        "posts in the last 24 hours": select(Post.id).where(Post.created_at > yesterday),
        "hidden posts": select(Post.id).where(Post.hidden_at.is_not(None)),
        "follows": select(Follow.follower_id),
    }
    counts = [select(func.count()).select_from(query.subquery()).scalar_subquery() for query in queries.values()]
    row = db.session.execute(select(*counts)).one()
    return dict(zip(queries, row, strict=True))
