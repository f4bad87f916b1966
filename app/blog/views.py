"""The pages of the blog."""

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_sqlalchemy.pagination import Pagination

from app.blog.forms import PostForm
from app.blog.models import LAST_PAGE, Post
from app.extensions import db

bp = Blueprint("blog", __name__, template_folder="templates")


@bp.get("/")
def index() -> ResponseReturnValue:
    """Show a page of posts and the form that adds one."""
    return _render(PostForm())


@bp.post("/")
def create() -> ResponseReturnValue:
    """Add a post, then show the first page; or show the form again with what is wrong (422)."""
    form = PostForm()
    if not form.validate():
        return _render(form), 422
    db.session.add(Post(body=form.body.data))
    db.session.commit()
    flash("Your note is published.")
    return redirect(url_for(".index"), 303)  # See Other: reloading the next page does not post again


def _render(form: PostForm) -> str:
    return render_template("blog/index.html", form=form, posts=_requested_page())


def _requested_page() -> Pagination:
    """Return the posts of `?page=`: the first page if that is no number, the last if it is beyond."""
    number = request.args.get("page", default=1, type=int)
    posts = Post.newest(min(max(number, 1), LAST_PAGE))
    return posts if posts.items or not posts.total else Post.newest(posts.pages)
