"""API views for users and follows."""

from flask import g
from werkzeug.exceptions import Conflict

from app.account.models import User
from app.api import schemas
from app.api.auth import ANY_SCHEME, login_required
from app.api.blueprint import bp
from app.api.pagination import with_links
from app.blog.models import Follow, Post
from app.pagination import Page, paginate


@bp.get("/users")
@bp.input(schemas.PageIn, location="query")
@bp.output(schemas.UsersOut)
def list_users(query_data: dict) -> tuple[Page, int, dict]:
    """List users, newest first."""
    page = paginate(User, query_data.get("before"), User.active.is_(True), limit=query_data["limit"])
    return with_links(page)


@bp.get("/users/<username>")
@bp.output(schemas.UserOut)
def read_user(username: str) -> User:
    """Get a user."""
    return User.by_username_or_404(username)


@bp.get("/users/<username>/posts")
@bp.input(schemas.PageIn, location="query")
@bp.output(schemas.PostsOut)
def list_user_posts(username: str, query_data: dict) -> tuple[Page, int, dict]:
    """List a user's posts, newest first."""
    author = User.by_username_or_404(username)
    return with_links(Post.timeline(author=author, **query_data))


@bp.put("/users/<username>/follow")
@bp.output({}, status_code=204)
@bp.doc(responses={409: "The user is the current user, or the account is closed"})
def follow(username: str) -> str:
    """Follow a user. The request is idempotent."""
    user = User.by_username_or_404(username)
    if user.id == g.user.id:
        raise Conflict("You can't follow yourself.")
    if not user.active:
        raise Conflict("This account is closed, so you can't follow it.")
    Follow.add(g.user, user)
    return ""


@bp.delete("/users/<username>/follow")
@bp.output({}, status_code=204)
def unfollow(username: str) -> str:
    """Unfollow a user. The request is idempotent."""
    Follow.remove(g.user, User.by_username_or_404(username))
    return ""


@bp.get("/me")
@login_required
@bp.output(schemas.UserOut)
@bp.doc(security=ANY_SCHEME)
def me() -> User:
    """Get the current user."""
    g.user.own = g.user  # for the private fields of schemas.UserOut
    return g.user
