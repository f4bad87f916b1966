"""The pages of the blog."""

from flask import Blueprint, render_template
from flask.typing import ResponseReturnValue

from app.blog.models import Post

bp = Blueprint("blog", __name__, template_folder="templates")


@bp.get("/")
def index() -> ResponseReturnValue:
    """Show the public timeline."""
    return render_template("blog/index.html", page=Post.timeline())
