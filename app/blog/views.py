"""Blog pages."""

from functools import lru_cache

from flask import Blueprint, Response, abort, flash, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue
from flask_security import auth_required, current_user
from markupsafe import Markup

from app.account.models import User
from app.blog.forms import PostForm
from app.blog.models import Follow, Post
from app.database import ID_MAX, SAFE_METHODS, db
from app.pagination import page_cursor, search_query

bp = Blueprint("blog", __name__, template_folder="templates")

# Anonymous pages are the same for all clients. A shared cache, such as Nginx's page cache, may serve them for 1 s,
# serve them stale for 30 s more while it fetches a new page, and serve them stale for a day while the app fails.
# Browsers revalidate them for every request. RFC 9111, section 5.2.2, and RFC 5861.
ANONYMOUS_CACHE_CONTROL = "public, max-age=0, s-maxage=1, stale-while-revalidate=30, stale-if-error=86400"

POST_URL = f"/posts/<int(max={ID_MAX}):post_id>"


@bp.after_request
def add_cache_control(response: Response) -> Response:
    """Allow shared caches to store pages that do not depend on a session. Flask adds `Vary: Cookie`."""
    if response.status_code == 200 and not session and not session.modified:
        response.headers.setdefault("Cache-Control", ANONYMOUS_CACHE_CONTROL)
    return response


@bp.app_template_filter()
def post_html(post: Post) -> Markup:
    """Return a post as HTML. It is cached, because the newest posts are on nearly every page.

    The cache key contains everything that the template shows.
    """
    return _render_post(
        script_root=request.script_root,  # url_for() depends on it
        id=post.id,
        body=post.body,
        author_id=post.author_id,
        username=post.author.username,
        created_at=post.created_at,
        updated_at=post.updated_at,
    )


@lru_cache(maxsize=1000)  # about 1 MB per worker process
def _render_post(script_root: str, **post) -> Markup:
    return Markup(render_template("blog/_post.html", **post))


@bp.get("/")
def index() -> ResponseReturnValue:
    """Show the public timeline. Authenticated users also get the form for a new post."""
    form = PostForm() if current_user.is_authenticated else None
    return _home_page(form)


@bp.post("/")
@auth_required("session")
def create() -> ResponseReturnValue:
    """Add a post and redirect to the home page. Show the form with its errors (422) if it is invalid."""
    form = PostForm()
    if not form.validate():
        return _home_page(form), 422
    Post.publish(current_user, form.body.data)
    flash("Your post has been published.")
    return redirect(url_for(".index"), 303)  # 303 See Other: reloading the page does not submit the form again


@bp.get("/following")
@auth_required("session")
def following() -> ResponseReturnValue:
    """Show the timeline of the users that the current user follows."""
    page = Post.timeline(page_cursor(), followed_by=current_user)
    return render_template("blog/following.html", page=page)


@bp.get("/search")
def search() -> ResponseReturnValue:
    """Show the posts that contain the words of the query parameter `q`."""
    text = search_query()
    page = Post.timeline(page_cursor(), search=text) if text else None
    return render_template("blog/search.html", text=text, page=page)


@bp.get("/users/<username>")
def profile(username: str) -> ResponseReturnValue:
    """Show a user's profile and posts."""
    user = User.by_username_or_404(username)
    page = Post.timeline(page_cursor(), author=user)
    is_followed = current_user.is_authenticated and Follow.exists(current_user, user)
    followers, following = Follow.counts(user)
    return render_template(
        "blog/profile.html", user=user, page=page, is_followed=is_followed, followers=followers, following=following
    )


@bp.post("/users/<username>/follow")
@auth_required("session")
def follow(username: str) -> ResponseReturnValue:
    """Follow a user. Idempotent."""
    user = User.by_username_or_404(username)
    if user.id == current_user.id:
        abort(409, "You can't follow yourself.")
    if not user.active:
        abort(409, "This account is closed, so you can't follow it.")
    Follow.add(current_user, user)
    flash(f"You now follow {user.username}.")
    return redirect(url_for(".profile", username=user.username), 303)


@bp.post("/users/<username>/unfollow")
@auth_required("session")
def unfollow(username: str) -> ResponseReturnValue:
    """Unfollow a user. Idempotent."""
    user = User.by_username_or_404(username)
    Follow.remove(current_user, user)
    flash(f"You no longer follow {user.username}.")
    return redirect(url_for(".profile", username=user.username), 303)


@bp.get(POST_URL)
def read(post_id: int) -> ResponseReturnValue:
    """Show a single post."""
    return render_template("blog/read.html", post=Post.visible_or_404(post_id))


@bp.route(f"{POST_URL}/edit", methods=["GET", "POST"])
@auth_required("session")
def edit(post_id: int) -> ResponseReturnValue:
    """Edit one of the user's own posts."""
    post = _own_post(post_id)
    form = PostForm(obj=post)
    if not form.validate_on_submit():
        return render_template("blog/edit.html", form=form, post=post), 422 if form.errors else 200
    post.edit(form.body.data)
    db.session.commit()
    flash("Your post has been changed.")
    return redirect(url_for(".read", post_id=post.id), 303)


@bp.route(f"{POST_URL}/delete", methods=["GET", "POST"])
@auth_required("session")
def delete(post_id: int) -> ResponseReturnValue:
    """Delete one of the user's own posts, after a confirmation page (GET)."""
    post = _own_post(post_id)
    if request.method == "GET":
        return render_template("blog/delete.html", post=post)
    db.session.delete(post)
    db.session.commit()
    flash("Your post has been deleted.")
    return redirect(url_for(".index"), 303)


def _home_page(form: PostForm | None) -> str:
    return render_template("blog/index.html", form=form, page=Post.timeline(page_cursor()))


def _own_post(post_id: int) -> Post:
    # Locked for a write: otherwise, a request in another tab could delete the post between this query and the write.
    post = Post.visible_or_404(post_id, lock=request.method not in SAFE_METHODS)
    if post.author_id != current_user.id:
        abort(403, "Only its author can change a post.")
    return post
