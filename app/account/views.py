"""Account pages. The views of the password pages are Flask-Security's; templates/security/ has their templates."""

from flask import Blueprint, Response, abort, current_app, flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from flask_security import auth_required, current_user, logout_user

from app.account import security_events, sessions
from app.account.forms import DeactivateForm, TokenForm
from app.account.models import MAX_TOKENS, ApiToken, User
from app.account.security_events import SecurityEvent
from app.database import ID_MAX, db
from app.pagination import page_cursor

bp = Blueprint("account", __name__, url_prefix="/account", template_folder="templates")


@bp.after_request
def forbid_storing(response: Response) -> Response:
    """Keep account data and tokens out of the caches of browsers, also after a logout."""
    response.headers["Cache-Control"] = "private, no-store"
    return response


@bp.get("")
@auth_required("session")
def index() -> ResponseReturnValue:
    """Show the account page."""
    return render_template("account/index.html")


@bp.route("/deactivate", methods=["GET", "POST"])
@auth_required("session")
def deactivate() -> ResponseReturnValue:
    """Close the account after the password was confirmed."""
    form = DeactivateForm()
    if not form.validate_on_submit():
        return render_template("account/deactivate.html", form=form), 422 if form.errors else 200
    User.lock_admins()
    if current_user.is_last_admin:
        db.session.rollback()
        abort(409, "You are the last admin. Make another user an admin before you close your account.")
    current_user.deactivate()
    security_events.record("account_closed", current_user, notify=True)
    logout_user()  # before the commit: it deletes the session
    db.session.commit()
    flash("Your account has been closed.")
    return redirect(url_for("blog.index"), 303)


@bp.get("/sessions")
@auth_required("session")
def list_sessions() -> ResponseReturnValue:
    """List the sessions and the most recent security events."""
    events = SecurityEvent.page(page_cursor(), current_user)
    login_sessions = sessions.list_for(current_user)
    return render_template(
        "account/sessions.html", sessions=login_sessions, current_id=sessions.current_id(), page=events
    )


@bp.post("/sessions/<session_id>/end")
@auth_required("session")
def end_session(session_id: str) -> ResponseReturnValue:
    """End one of the user's sessions."""
    if session_id == sessions.current_id():
        logout_user()
        return redirect(url_for("blog.index"), 303)
    if not sessions.end(current_user, session_id):
        abort(404)
    security_events.record("sessions_ended", current_user, "one session")
    db.session.commit()
    flash("The session has been ended.")
    return redirect(url_for(".list_sessions"), 303)


@bp.post("/sessions/end-others")
@auth_required("session")
def end_other_sessions() -> ResponseReturnValue:
    """End all sessions except the current one."""
    sessions.end_others(current_user)
    security_events.record("sessions_ended", current_user, "all other sessions")
    db.session.commit()
    flash("All other sessions have been ended.")
    return redirect(url_for(".list_sessions"), 303)


@bp.route("/tokens", methods=["GET", "POST"])
@auth_required("session", within=lambda: current_app.config["SECURITY_FRESHNESS"])
def tokens() -> ResponseReturnValue:
    """List the tokens. POST creates a token and shows it once."""
    form = TokenForm()
    plain_text = None
    if form.validate_on_submit():
        if not ApiToken.make_room(current_user):
            db.session.rollback()
            abort(409, f"You have {MAX_TOKENS} API tokens, which is the maximum. Revoke one first.")
        token, plain_text = ApiToken.issue(current_user, form.name.data, form.scope.data, form.days.data)
        security_events.record("token_created", current_user, token.name, notify=True)
        form = TokenForm(formdata=None)
    tokens = ApiToken.page(current_user, page_cursor())  # flushes the new token
    page = render_template("account/tokens.html", form=form, plain_text=plain_text, page=tokens)
    db.session.commit()  # last: a page that cannot be rendered must not leave a token that nobody has seen
    return page, 422 if form.errors else 200


@bp.post(f"/tokens/<int(max={ID_MAX}):token_id>/revoke")
@auth_required("session")
def revoke(token_id: int) -> ResponseReturnValue:
    """Revoke one of the user's own tokens."""
    token = ApiToken.own_or_404(current_user, token_id)
    db.session.delete(token)
    security_events.record("token_revoked", current_user, token.name)
    db.session.commit()
    flash(f"The token “{token.name}” has been revoked.")
    return redirect(url_for(".tokens"), 303)
