"""Confirmation of an email address: with the mailed link and the password of the registration.

Flask-Security's view needs the link alone. Then an attacker could register with somebody else's address, and the owner
of the mailbox who opens the link would confirm an account whose password the attacker knows.
"""

from flask import flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from flask_security import login_user
from flask_security.confirmable import confirm_email_token_status, confirm_user

from app.account import security_events
from app.account.forms import VerifyForm
from app.database import db


def confirm_email(token: str) -> ResponseReturnValue:
    """Ask for the password, confirm the address, and log in."""
    expired, invalid, user = confirm_email_token_status(token)
    if user is None or expired or invalid or not user.active:
        flash("This link has expired or is incomplete. Please request a new one.", "error")
        return redirect(url_for("security.send_confirmation"))
    if user.confirmed_at is not None:
        flash("This address is already confirmed. You can log in.", "info")
        return redirect(url_for("security.login"))
    form = VerifyForm(user=user)
    if not form.validate_on_submit():
        return render_template("security/confirm_email.html", form=form, token=token), 422 if form.errors else 200
    confirm_user(user)
    security_events.record("email_confirmed", user)
    login_user(user, authn_via=["password"])
    db.session.commit()
    flash("Your email address is confirmed.")
    return redirect(url_for("blog.index"), 303)
