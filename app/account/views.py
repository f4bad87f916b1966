"""Account pages. The views of the password pages are Flask-Security's; templates/security/ has their templates."""

from flask import Blueprint, flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from flask_security import auth_required, current_user, logout_user

from app.account.forms import DeactivateForm, TokenForm
from app.account.models import ApiToken
from app.database import ID_MAX, db

bp = Blueprint("account", __name__, url_prefix="/account", template_folder="templates")


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
    current_user.deactivate()
    db.session.commit()
    logout_user()
    flash("Your account has been closed.")
    return redirect(url_for("blog.index"), 303)


@bp.route("/tokens", methods=["GET", "POST"])
@auth_required("session")
def tokens() -> ResponseReturnValue:
    """List the tokens. POST creates a token and shows it once."""
    form = TokenForm()
    plain_text = None
    if form.validate_on_submit():
        _, plain_text = ApiToken.issue(current_user, form.name.data)
        form = TokenForm(formdata=None)
    tokens = ApiToken.for_user(current_user)  # flushes the new token
    page = render_template("account/tokens.html", form=form, plain_text=plain_text, tokens=tokens)
    db.session.commit()  # last: a page that cannot be rendered must not leave a token that nobody has seen
    return page, 422 if form.errors else 200


@bp.post(f"/tokens/<int(max={ID_MAX}):token_id>/revoke")
@auth_required("session")
def revoke(token_id: int) -> ResponseReturnValue:
    """Revoke one of the user's own tokens."""
    token = ApiToken.own_or_404(current_user, token_id)
    db.session.delete(token)
    db.session.commit()
    flash(f"The token “{token.name}” has been revoked.")
    return redirect(url_for(".tokens"), 303)
