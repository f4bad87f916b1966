"""The pages of the admins. Each action is a POST, leaves a record and leads back to where it was chosen."""

from apiflask import APIBlueprint
from flask import abort, current_app, flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from flask_security import current_user

from app.account.models import User
from app.admin.actions import POST_ACTIONS, USER_ACTIONS
from app.admin.forms import NoteForm
from app.admin.models import AdminAction, figures, find_posts, find_users
from app.blog.models import Post
from app.database import ID_MAX, db
from app.paging import requested_before, requested_text

# No plain Blueprint, because of before_request: APIFlask then looks for what only its own has.
bp = APIBlueprint(
    "admin", __name__, url_prefix="/admin", template_folder="templates", cli_group=None, enable_openapi=False
)

ID = f"<int(max={ID_MAX}):target_id>"


@bp.before_request
def admit_admins_only() -> ResponseReturnValue | None:
    """Send the anonymous to the log-in and everybody else away (403)."""
    if not current_user.is_authenticated:
        return current_app.login_manager.unauthorized()
    return None if current_user.is_admin else abort(403, "Only admins may see this.")


@bp.get("")
def index() -> ResponseReturnValue:
    """Show the figures, and what admins have done."""
    return render_template("admin/index.html", figures=figures(), actions=AdminAction.latest())


@bp.get("/users")
def users() -> ResponseReturnValue:
    """List the users whose name or email contains `?q=`, newest first."""
    text = requested_text()
    return render_template("admin/users.html", text=text, page=find_users(text, requested_before()))


@bp.get(f"/users/{ID}")
def user(target_id: int) -> ResponseReturnValue:
    """Show one user, and what can be done about this account."""
    found = db.get_or_404(User, target_id)
    return render_template("admin/user.html", user=found, form=NoteForm(), actions=USER_ACTIONS)


@bp.post(f"/users/{ID}/<action>")
def change_user(target_id: int, action: str) -> ResponseReturnValue:
    """Do one of USER_ACTIONS."""
    found = db.get_or_404(User, target_id)
    if found.id == current_user.id:
        abort(409, "Nobody can do this to one's own account: the last admin might lock everybody out.")
    _do(USER_ACTIONS, action, found, f"user {found.username}")
    return redirect(url_for(".user", target_id=found.id), 303)


@bp.get("/posts")
def posts() -> ResponseReturnValue:
    """List the posts that contain `?q=`, newest first, hidden ones as well."""
    text = requested_text()
    return render_template("admin/posts.html", text=text, page=find_posts(text, requested_before()))


@bp.get(f"/posts/{ID}")
def post(target_id: int) -> ResponseReturnValue:
    """Show one post, and what can be done about it."""
    found = db.get_or_404(Post, target_id)
    return render_template("admin/post.html", post=found, form=NoteForm(), actions=POST_ACTIONS)


@bp.post(f"/posts/{ID}/<action>")
def change_post(target_id: int, action: str) -> ResponseReturnValue:
    """Do one of POST_ACTIONS."""
    found = db.get_or_404(Post, target_id)
    _do(POST_ACTIONS, action, found, f"post {found.id}")
    return redirect(url_for(".post", target_id=found.id), 303)


def _do(actions: dict, name: str, found: User | Post, target: str) -> None:
    """Do and record an action, both or neither. Aborts with 404 and 422 if there is no such, or the note is bad."""
    form = NoteForm()
    if name not in actions:
        abort(404)
    if not form.validate():
        abort(422, form.note.errors[0])
    actions[name].do(found)
    db.session.add(AdminAction(admin_id=current_user.id, action=name, target=target, note=form.note.data or None))
    db.session.commit()
    flash(f"Done: {actions[name].label.lower()}, {target}.")
