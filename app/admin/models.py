"""What admins have done: every action leaves a record that all admins can read."""

from datetime import datetime
from typing import Self

from sqlalchemy import ForeignKey, String, Text, select
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.account.models import User
from app.database import UTCDateTime, utc_now
from app.extensions import db


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
    def record(cls, admin: User, action: str, target: str, note: str | None = None) -> None:
        """Add a record to the session, to be committed together with the action itself."""
        db.session.add(cls(admin_id=admin.id, action=action, target=target, note=note))

    @classmethod
    def latest(cls, limit: int = 50) -> list[Self]:
        """Return the newest records."""
        return list(db.session.scalars(select(cls).order_by(cls.id.desc()).limit(limit)))
