"""The pages of the blog."""

from functools import lru_cache

from flask import Blueprint, Response, abort, flash, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue
from flask_security import auth_required, current_user
from markupsafe import Markup

from app.account.models import User
from app.blog.forms import PostForm
from app.blog.models import Follow, Post
from app.database import ID_MAX, db
from app.paging import requested_before, requested_text
from app.text import linkify, time

bp = Blueprint("blog", __name__, template_folder="templates")
bp.add_app_template_filter(linkify)
bp.add_app_template_filter(time)

# What strangers see is the same for all of them: a cache in front may keep it for a second, show it for half a minute
# more while it fetches a new one, and for a day while no server answers. The browser itself asks each time.
FOR_STRANGERS = "public, max-age=0, s-maxage=1, stale-while-revalidate=30, stale-if-error=86400"

POST_URL = f"/posts/<int(max={ID_MAX}):post_id>"


@bp.after_request
def mark_for_caches(response: Response) -> Response:
    """Let caches keep a page that nobody's session has had a part in. Flask adds `Vary: Cookie`."""
    if response.status_code == 200 and not session and not session.modified:
        response.headers.setdefault("Cache-Control", FOR_STRANGERS)
    return response


@bp.app_template_filter()
def post_html(post: Post) -> Markup:
    """Return a post as HTML. The newest are on nearly every page, so it is kept; whatever it shows is in its key."""
    fields = {name: getattr(post, name) for name in ("id", "body", "author_id", "created_at", "updated_at")}
    return _post_html(root=request.script_root, username=post.author.username, **fields)


@lru_cache(maxsize=1000)  # about 1 MB in each process
def _post_html(root: str, **post) -> Markup:
    return Markup(render_template("blog/_post.html", **post))


@bp.get("/")
def index() -> ResponseReturnValue:
    """Show the public timeline; who is logged in also gets a form that adds to it."""
    return _front_page(PostForm() if current_user.is_authenticated else None)


@bp.post("/")
@auth_required("session")
def create() -> ResponseReturnValue:
    """Add a post, then show the first page; or show the form again with what is wrong (422)."""
    form = PostForm()
    if not form.validate():
        return _front_page(form), 422
    db.session.add(Post(body=form.body.data, author_id=current_user.id))
    db.session.commit()
    flash("Your note is published.")
    return redirect(url_for(".index"), 303)  # See Other: reloading the next page does not post again


@bp.get("/following")
@auth_required("session")
def following() -> ResponseReturnValue:
    """Show the timeline of the people whom the user follows."""
    page = Post.timeline(requested_before(), followed_by=current_user)
    return render_template("blog/following.html", page=page)


@bp.get("/search")
def search() -> ResponseReturnValue:
    """Show the posts that contain the text `?q=`."""
    text = requested_text()
    page = Post.timeline(requested_before(), search=text) if text else None
    return render_template("blog/search.html", text=text, page=page)


@bp.get("/users/<username>")
def profile(username: str) -> ResponseReturnValue:
    """Show what one user has written."""
    user = User.named_or_404(username)
    page = Post.timeline(requested_before(), author=user)
    followed = current_user.is_authenticated and Follow.exists(current_user, user)
    return render_template("blog/profile.html", user=user, page=page, followed=followed, counts=Follow.counts(user))


@bp.post("/users/<username>/follow")
@auth_required("session")
def follow(username: str) -> ResponseReturnValue:
    """Follow a user; to do it twice does no harm."""
    user = User.named_or_404(username)
    if user.id == current_user.id or not user.active:
        abort(409, "Nobody can follow this account." if user.id != current_user.id else "You can't follow yourself.")
    Follow.add(current_user, user)
    flash(f"You follow {user.username} now.")
    return redirect(url_for(".profile", username=user.username), 303)


@bp.post("/users/<username>/unfollow")
@auth_required("session")
def unfollow(username: str) -> ResponseReturnValue:
    """Follow a user no longer."""
    user = User.named_or_404(username)
    Follow.remove(current_user, user)
    flash(f"You don't follow {user.username} any more.")
    return redirect(url_for(".profile", username=user.username), 303)


@bp.get(POST_URL)
def read(post_id: int) -> ResponseReturnValue:
    """Show one post by itself."""
    return render_template("blog/read.html", post=Post.visible(post_id))


@bp.route(f"{POST_URL}/edit", methods=["GET", "POST"])
@auth_required("session")
def edit(post_id: int) -> ResponseReturnValue:
    """Change one of the user's own posts."""
    post = _own_post(post_id)
    form = PostForm(obj=post)
    if not form.validate_on_submit():
        return render_template("blog/edit.html", form=form, post=post), 422 if form.errors else 200
    post.edit(form.body.data)
    db.session.commit()
    flash("Your note is changed.")
    return redirect(url_for(".read", post_id=post.id), 303)


@bp.route(f"{POST_URL}/delete", methods=["GET", "POST"])
@auth_required("session")
def delete(post_id: int) -> ResponseReturnValue:
    """Ask whether one of the user's own posts shall be deleted, then delete it."""
    post = _own_post(post_id)
    if request.method == "GET":
        return render_template("blog/delete.html", post=post)
    db.session.delete(post)
    db.session.commit()
    flash("Your note is deleted.")
    return redirect(url_for(".index"), 303)


def _front_page(form: PostForm | None) -> str:
    return render_template("blog/index.html", form=form, page=Post.timeline(requested_before()))


def _own_post(post_id: int) -> Post:
    post = Post.visible(post_id)
    if post.author_id != current_user.id:
        abort(403, "Only who has written a note can change it.")
    return post
