"""What admins can do to users and posts: a line each here, and pages and records follow."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from app.account.models import ADMIN, Role, User
from app.blog.models import Post
from app.database import utc_now
from app.extensions import security


@dataclass(frozen=True)
class Action:
    """`offered` says whether it makes sense for this target; done nevertheless, it changes nothing."""

    label: str
    do: Callable[[Any], None]
    offered: Callable[[Any], bool]


def activate(user: User) -> None:
    """Open an account again."""
    user.active = True


def make_admin(user: User) -> None:
    """Give the role `admin`, which is made when it is needed first."""
    role: Role = security.datastore.find_or_create_role(ADMIN, description="may use /admin")
    security.datastore.add_role_to_user(user, role)


def remove_admin(user: User) -> None:
    """Take the role `admin` away."""
    if user.is_admin:
        security.datastore.remove_role_from_user(user, ADMIN)


def hide(post: Post) -> None:
    """Let only admins see a post."""
    post.hidden_at = post.hidden_at or utc_now()


def restore(post: Post) -> None:
    """Let everybody see a post again."""
    post.hidden_at = None


USER_ACTIONS = {
    "deactivate": Action("Deactivate", User.deactivate, lambda user: user.active),
    "activate": Action("Activate", activate, lambda user: not user.active),
    "unlock": Action("Unlock", User.unlock, lambda user: user.locked),
    "make-admin": Action("Make admin", make_admin, lambda user: not user.is_admin),
    "remove-admin": Action("Remove as admin", remove_admin, lambda user: user.is_admin),
}

POST_ACTIONS = {
    "hide": Action("Hide", hide, lambda post: not post.hidden_at),
    "restore": Action("Restore", restore, lambda post: post.hidden_at is not None),
}
