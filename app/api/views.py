"""Version 1 of the API. Open to all until there are accounts: anybody may add and delete."""

from apiflask import APIBlueprint, abort
from flask import request, url_for
from flask_sqlalchemy.pagination import Pagination
from werkzeug.exceptions import BadRequest

from app.api.schemas import PageIn, PageOut, PostIn, PostOut
from app.blog.models import Post
from app.extensions import csrf, db

bp = APIBlueprint("api", __name__, url_prefix="/api/v1", tag="posts")
# CSRF abuses the cookie that a browser sends by itself. The API reads none; once it does, this line must go.
csrf.exempt(bp)

POST_URL = f"/posts/<int(max={2**31 - 1}):post_id>"  # the largest id that PostgreSQL's integer holds


@bp.before_request
def require_readable_json() -> None:
    """Refuse a body that is not JSON by its type (415) or by its text (422), before a schema looks at it."""
    if request.method != "POST":
        return
    try:
        request.get_json()
    except (BadRequest, RecursionError):  # broken, empty, not UTF-8; or nested deeper than Python can follow
        abort(422, "Validation error", {"json": ["This is not valid JSON in UTF-8."]})


@bp.post("/posts")
@bp.input(PostIn)
@bp.output(PostOut, status_code=201)
def create_post(json_data: dict) -> tuple[Post, int, dict[str, str]]:
    """Add a post. `Location` is its address."""
    post = Post(**json_data)
    db.session.add(post)
    db.session.commit()
    return post, 201, {"Location": url_for(".read_post", post_id=post.id)}


@bp.get(POST_URL)
@bp.output(PostOut)
def read_post(post_id: int) -> Post:
    """Read one post."""
    return db.get_or_404(Post, post_id)


@bp.delete(POST_URL)
@bp.output({}, status_code=204)
def delete_post(post_id: int) -> str:
    """Delete one post."""
    db.session.delete(db.get_or_404(Post, post_id))
    db.session.commit()
    return ""


# The last view: APIFlask would describe PostOut twice if it met it inside PageOut first.
@bp.get("/posts")
@bp.input(PageIn, location="query")
@bp.output(PageOut)
def list_posts(query_data: dict) -> Pagination:
    """List posts, newest first."""
    return Post.newest(**query_data)
