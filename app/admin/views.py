"""Admin pages. Each action is a POST request, is recorded, and redirects to the page of its target."""

from apiflask import APIBlueprint
from flask import Response, abort, current_app, flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from flask_security import current_user

from app.account.models import User
from app.account.security_events import SecurityEvent
from app.admin.actions import POST_ACTIONS, USER_ACTIONS, Action
from app.admin.forms import ReasonForm
from app.admin.models import AdminAction, find_posts, find_users, statistics
from app.blog.models import Post
from app.database import ID_MAX, db
from app.pagination import page_cursor, search_query

# An APIBlueprint, because APIFlask expects its attributes of every blueprint that has a before_request function.
bp = APIBlueprint(
    "admin", __name__, url_prefix="/admin", template_folder="templates", cli_group=None, enable_openapi=False
)

ID = f"<int(max={ID_MAX}):target_id>"


@bp.before_request
def admit_admins_only() -> ResponseReturnValue | None:
    """Redirect anonymous clients to the login page. Answer 403 to users who are not admins."""
    if not current_user.is_authenticated:
        return current_app.login_manager.unauthorized()
    if not current_user.is_admin:
        abort(403, "Only admins may view this page.")
    return None


@bp.after_request
def forbid_storing(response: Response) -> Response:
    """Keep account data out of the caches of browsers, also after a logout."""
    response.headers["Cache-Control"] = "private, no-store"
    return response


@bp.get("")
def index() -> ResponseReturnValue:
    """Show statistics, and the admin actions, newest first."""
    return render_template("admin/index.html", statistics=statistics(), page=AdminAction.page(page_cursor()))


@bp.get("/events")
def events() -> ResponseReturnValue:
    """List the security events of all users, newest first."""
    return render_template("admin/events.html", page=SecurityEvent.page(page_cursor()))


@bp.get("/users")
def users() -> ResponseReturnValue:
    """List the users whose username or email contains the query parameter `q`, newest first."""
    text = search_query()
    page = find_users(text, page_cursor())
    return render_template("admin/users.html", text=text, page=page)


@bp.get(f"/users/{ID}")
def user(target_id: int) -> ResponseReturnValue:
    """Show a user and the available actions."""
    target = db.get_or_404(User, target_id)
    return render_template("admin/user.html", user=target, form=ReasonForm(), actions=USER_ACTIONS)


@bp.post(f"/users/{ID}/<action>")
def change_user(target_id: int, action: str) -> ResponseReturnValue:
    """Apply one of USER_ACTIONS to a user."""
    User.lock_admins()
    # Another admin may have removed the current one since admit_admins_only(), or the two remove each other.
    db.session.refresh(current_user._get_current_object(), ["roles", "active"])
    if not (current_user.is_admin and current_user.active):
        abort(403, "Only admins may view this page.")
    target = db.get_or_404(User, target_id)
    if target.id == current_user.id:
        abort(409, "You can't change your own account here. Otherwise, the last admin could lose access.")
    _apply(USER_ACTIONS, action, target, f"user {target.username}")
    return redirect(url_for(".user", target_id=target.id), 303)


@bp.get("/posts")
def posts() -> ResponseReturnValue:
    """List the posts that contain the words of the query parameter `q`, newest first, including hidden posts."""
    text = search_query()
    page = find_posts(text, page_cursor())
    return render_template("admin/posts.html", text=text, page=page)


@bp.get(f"/posts/{ID}")
def post(target_id: int) -> ResponseReturnValue:
    """Show a post and the available actions."""
    target = db.get_or_404(Post, target_id)
    return render_template("admin/post.html", post=target, form=ReasonForm(), actions=POST_ACTIONS)


@bp.post(f"/posts/{ID}/<action>")
def change_post(target_id: int, action: str) -> ResponseReturnValue:
    """Apply one of POST_ACTIONS to a post."""
    target = db.get_or_404(Post, target_id, with_for_update={"of": Post})
    _apply(POST_ACTIONS, action, target, f"post {target.id}")
    return redirect(url_for(".post", target_id=target.id), 303)


def _apply(actions: dict[str, Action], name: str, target: User | Post, target_name: str) -> None:
    """Apply and record an action in one transaction. Aborts with 404 (unknown action) or 422 (invalid reason)."""
    if name not in actions:
        abort(404)
    form = ReasonForm()
    if not form.validate():
        abort(422, form.reason.errors[0])
    action = actions[name]
    action.apply(target)
    record = AdminAction(admin_id=current_user.id, action=name, target=target_name, reason=form.reason.data or None)
    db.session.add(record)
    db.session.commit()
    flash(f"Applied “{action.label}” to {target_name}.")
