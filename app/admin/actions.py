"""Actions of admins on users and posts. The pages offer every action in USER_ACTIONS and POST_ACTIONS."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from app.account.models import ADMIN, Role, User
from app.blog.models import Post
from app.database import utc_now
from app.extensions import security


@dataclass(frozen=True)
class Action:
    """An action on a target (a user or a post).

    is_available: whether the page of the target offers the action. Applying an unavailable action changes nothing.
    """

    label: str
    apply: Callable[[Any], None]
    is_available: Callable[[Any], bool]


def activate(user: User) -> None:
    """Reopen a closed account."""
    user.active = True


def make_admin(user: User) -> None:
    """Grant the role `admin`, which is created when it is first needed."""
    role: Role = security.datastore.find_or_create_role(ADMIN, description="may open /admin")
    security.datastore.add_role_to_user(user, role)


def remove_admin(user: User) -> None:
    """Revoke the role `admin`."""
    if user.is_admin:
        security.datastore.remove_role_from_user(user, ADMIN)


def hide(post: Post) -> None:
    """Hide a post from everyone except admins."""
    post.hidden_at = post.hidden_at or utc_now()


def restore(post: Post) -> None:
    """Make a hidden post public again."""
    post.hidden_at = None


USER_ACTIONS = {
    "deactivate": Action("Deactivate", User.deactivate, lambda user: user.active),
    "activate": Action("Activate", activate, lambda user: not user.active),
    "unlock": Action("Unlock", User.unlock, lambda user: user.locked),
    "make-admin": Action("Make admin", make_admin, lambda user: not user.is_admin),
    "remove-admin": Action("Remove admin role", remove_admin, lambda user: user.is_admin),
}

POST_ACTIONS = {
    "hide": Action("Hide", hide, lambda post: not post.hidden_at),
    "restore": Action("Restore", restore, lambda post: post.hidden_at is not None),
}
