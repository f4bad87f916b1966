"""Actions of admins on users and posts. The pages offer every action in USER_ACTIONS and POST_ACTIONS."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from app.account.models import ADMIN, Role, User
from app.account.security_events import actor, record
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


def deactivate(user: User) -> None:
    """Close an account. Its sessions end, and its tokens are revoked."""
    if user.active:
        user.deactivate()
        record("account_closed", user, actor(), notify=True)


def activate(user: User) -> None:
    """Reopen a closed account."""
    if not user.active:
        user.active = True
        record("account_reopened", user, actor(), notify=True)


def unlock(user: User) -> None:
    """Unlock an account."""
    if user.locked:
        user.unlock()
        record("account_unlocked", user, actor())


def end_sessions(user: User) -> None:
    """End all sessions of a user."""
    user.end_sessions()
    record("sessions_ended", user, actor())


def make_admin(user: User) -> None:
    """Grant the role `admin`, which is created when it is first needed."""
    role: Role = security.datastore.find_or_create_role(ADMIN, description="may open /admin")
    if security.datastore.add_role_to_user(user, role):
        record("admin_granted", user, actor(), notify=True)


def remove_admin(user: User) -> None:
    """Revoke the role `admin`."""
    if user.is_admin:
        security.datastore.remove_role_from_user(user, ADMIN)
        record("admin_revoked", user, actor(), notify=True)


def hide(post: Post) -> None:
    """Hide a post from everyone except admins."""
    post.hidden_at = post.hidden_at or utc_now()


def restore(post: Post) -> None:
    """Make a hidden post public again."""
    post.hidden_at = None


USER_ACTIONS = {
    "deactivate": Action("Deactivate", deactivate, lambda user: user.active),
    "activate": Action("Activate", activate, lambda user: not user.active),
    "unlock": Action("Unlock", unlock, lambda user: user.locked),
    "end-sessions": Action("End sessions", end_sessions, lambda user: user.active),
    "make-admin": Action("Make admin", make_admin, lambda user: not user.is_admin),
    "remove-admin": Action("Remove admin role", remove_admin, lambda user: user.is_admin),
}

POST_ACTIONS = {
    "hide": Action("Hide", hide, lambda post: not post.hidden_at),
    "restore": Action("Restore", restore, lambda post: post.hidden_at is not None),
}
