"""Posts: everybody may read them, their authors write them."""

from apiflask import abort
from flask import g, url_for
from werkzeug.exceptions import Forbidden

from app.account.models import User
from app.api import schemas
from app.api.auth import KNOWN, login_required
from app.api.blueprint import bp, takes
from app.api.conditional import CHANGED, require_match
from app.api.idempotency import once
from app.api.paging import with_links
from app.blog.models import Post
from app.database import ID_MAX, db
from app.paging import Page

POST_URL = f"/posts/<int(max={ID_MAX}):post_id>"


@bp.post("/posts")
@once
@takes(schemas.PostIn)
@bp.output(schemas.PostOut, status_code=201)
@bp.doc(responses={409: "Being answered (Idempotency-Key)"})
def create_post(json_data: dict) -> tuple[Post, int, dict]:
    """Publish a post.

    With the header Idempotency-Key it can be sent again for 24 hours, and is published once.
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
    if name := query_data.pop("author", None):
        query_data["author"] = author = User.named(name)
        if author is None:
            abort(422, "Validation error", {"query": {"author": ["There is nobody of this name."]}})
    return with_links(Post.timeline(**query_data))


@bp.get("/timeline")
@login_required
@bp.input(schemas.PageIn, location="query")
@bp.output(schemas.PostsOut)
@bp.doc(security=KNOWN)
def timeline(query_data: dict) -> tuple[Page, int, dict]:
    """List one's own posts and those of the people one follows, newest first."""
    return with_links(Post.timeline(followed_by=g.user, **query_data))


@bp.get(POST_URL)
@bp.output(schemas.PostOut)
def read_post(post_id: int) -> Post:
    """Read a post."""
    return Post.visible(post_id)


@bp.put(POST_URL)
@bp.patch(POST_URL)
@takes(schemas.PostIn)
@bp.output(schemas.PostOut)
@bp.doc(responses={403: "Somebody else's", 412: CHANGED})
def edit_post(post_id: int, json_data: dict) -> Post:
    """Change the text of one of one's own posts."""
    post = own_post(post_id)
    post.edit(**json_data)
    db.session.commit()
    return post


@bp.delete(POST_URL)
@bp.output({}, status_code=204)
@bp.doc(responses={403: "Somebody else's", 412: CHANGED})
def delete_post(post_id: int) -> str:
    """Delete one of one's own posts."""
    db.session.delete(own_post(post_id))
    db.session.commit()
    return ""


def own_post(post_id: int) -> Post:
    """Return a post that this user may change, locked. Raises NotFound, Forbidden, PreconditionFailed."""
    post = Post.visible(post_id, lock=True)
    if post.author_id != g.user.id:
        raise Forbidden("This post is somebody else's.")
    require_match(schemas.PostOut(), post)
    return post
