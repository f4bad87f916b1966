"""People, and whom one follows."""

from flask import g
from werkzeug.exceptions import Conflict

from app.account.models import User
from app.api import schemas
from app.api.auth import KNOWN, login_required
from app.api.blueprint import bp
from app.api.paging import with_links
from app.blog.models import Follow, Post
from app.paging import Page, part_of


@bp.get("/users")
@bp.input(schemas.PageIn, location="query")
@bp.output(schemas.UsersOut)
def list_users(query_data: dict) -> tuple[Page, int, dict]:
    """List people, the newest first."""
    before = query_data.get("before")
    return with_links(part_of(User, before, User.active.is_(True), limit=query_data["limit"]))


@bp.get("/users/<username>")
@bp.output(schemas.UserOut)
def read_user(username: str) -> User:
    """Read about a person."""
    return User.named_or_404(username)


@bp.get("/users/<username>/posts")
@bp.input(schemas.PageIn, location="query")
@bp.output(schemas.PostsOut)
def list_posts_of(username: str, query_data: dict) -> tuple[Page, int, dict]:
    """List what a person has written, newest first."""
    return with_links(Post.timeline(author=User.named_or_404(username), **query_data))


@bp.put("/users/<username>/follow")
@bp.output({}, status_code=204)
@bp.doc(responses={409: "Oneself, or an account that is closed"})
def follow(username: str) -> str:
    """Follow a person; to do it twice does no harm."""
    user = User.named_or_404(username)
    if user.id == g.user.id or not user.active:
        raise Conflict("Nobody can follow this account.")
    Follow.add(g.user, user)
    return ""


@bp.delete("/users/<username>/follow")
@bp.output({}, status_code=204)
def unfollow(username: str) -> str:
    """Follow a person no longer."""
    Follow.remove(g.user, User.named_or_404(username))
    return ""


@bp.get("/me")
@login_required
@bp.output(schemas.UserOut)
@bp.doc(security=KNOWN)
def me() -> User:
    """Read about oneself."""
    g.user.own = g.user
    return g.user
