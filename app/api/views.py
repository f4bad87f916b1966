"""Version 1 of the API."""

from apiflask import APIBlueprint, abort
from flask import request
from werkzeug.exceptions import BadRequest

from app.api.schemas import PageIn, PageOut, PostOut
from app.blog.models import Post
from app.database import ID_MAX
from app.extensions import csrf
from app.paging import Page

bp = APIBlueprint("api", __name__, url_prefix="/api/v1", tag="posts")
# CSRF abuses the cookie that a browser sends by itself. The API reads none; once it does, this line must go.
csrf.exempt(bp)

POST_URL = f"/posts/<int(max={ID_MAX}):post_id>"


@bp.before_request
def require_readable_json() -> None:
    """Refuse a body that is not JSON by its type (415) or by its text (422), before a schema looks at it."""
    if request.method != "POST":
        return
    try:
        request.get_json()
    except (BadRequest, RecursionError):  # broken, empty, not UTF-8; or nested deeper than Python can follow
        abort(422, "Validation error", {"json": ["This is not valid JSON in UTF-8."]})


@bp.get(POST_URL)
@bp.output(PostOut)
def read_post(post_id: int) -> Post:
    """Read one post."""
    return Post.visible(post_id)


# The last view: APIFlask would describe PostOut twice if it met it inside PageOut first.
@bp.get("/posts")
@bp.input(PageIn, location="query")
@bp.output(PageOut)
def list_posts(query_data: dict) -> Page:
    """List posts, newest first."""
    return Post.timeline(**query_data)
