"""API views for posts: public to read, writable by their authors."""

from apiflask import abort
from flask import g, url_for
from werkzeug.exceptions import Forbidden

from app.account.models import User
from app.api import schemas
from app.api.auth import ANY_SCHEME, login_required
from app.api.blueprint import bp, json_input
from app.api.conditional_requests import PRECONDITION_FAILED, require_match
from app.api.idempotency import idempotent
from app.api.pagination import with_links
from app.blog.models import Post
from app.database import ID_MAX, db
from app.pagination import Page

POST_URL = f"/posts/<int(max={ID_MAX}):post_id>"
FORBIDDEN = "The post belongs to another user"


@bp.post("/posts")
@idempotent
@json_input(schemas.PostIn)
@bp.output(schemas.PostOut, status_code=201)
@bp.doc(responses={409: "A request with this `Idempotency-Key` is in progress"})
def create_post(json_data: dict) -> tuple[Post, int, dict]:
    """Publish a post.

    With the header `Idempotency-Key`, the request can be retried for 24 hours without publishing the post twice.
    """
    post = Post(author=g.user, **json_data)
    db.session.add(post)
    db.session.flush()
    return post, 201, {"Location": url_for(".read_post", post_id=post.id)}


@bp.get("/posts")
@bp.input(schemas.SearchIn, location="query")
@bp.output(schemas.PostsOut)
def list_posts(query_data: dict) -> tuple[Page, int, dict]:
    """List posts, newest first."""
    username = query_data.pop("author", None)
    author = None
    if username:
        author = User.by_username(username)
        if author is None:
            abort(422, "Validation error", {"query": {"author": ["There is no user with this username."]}})
    return with_links(Post.timeline(author=author, **query_data))


@bp.get("/timeline")
@login_required
@bp.input(schemas.PageIn, location="query")
@bp.output(schemas.PostsOut)
@bp.doc(security=ANY_SCHEME)
def timeline(query_data: dict) -> tuple[Page, int, dict]:
    """List the current user's posts and the posts of the users they follow, newest first."""
    return with_links(Post.timeline(followed_by=g.user, **query_data))


@bp.get(POST_URL)
@bp.output(schemas.PostOut)
def read_post(post_id: int) -> Post:
    """Get a post."""
    return Post.visible_or_404(post_id)


@bp.put(POST_URL)
@bp.patch(POST_URL)
@json_input(schemas.PostIn)
@bp.output(schemas.PostOut)
@bp.doc(responses={403: FORBIDDEN, 412: PRECONDITION_FAILED})
def edit_post(post_id: int, json_data: dict) -> Post:
    """Edit one of the current user's posts."""
    post = own_post(post_id)
    post.edit(**json_data)
    db.session.commit()
    return post


@bp.delete(POST_URL)
@bp.output({}, status_code=204)
@bp.doc(responses={403: FORBIDDEN, 412: PRECONDITION_FAILED})
def delete_post(post_id: int) -> str:
    """Delete one of the current user's posts."""
    post = own_post(post_id)
    db.session.delete(post)
    db.session.commit()
    return ""


def own_post(post_id: int) -> Post:
    """Return one of the current user's posts, with a row lock. Raises NotFound, Forbidden or PreconditionFailed."""
    post = Post.visible_or_404(post_id, lock=True)
    if post.author_id != g.user.id:
        raise Forbidden("This post belongs to another user.")
    require_match(schemas.PostOut(), post)
    return post
