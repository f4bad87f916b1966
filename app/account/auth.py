"""Configuration of Flask-Security: its settings, its messages, and additional steps at login.

Whether an email address has an account is not revealed by responses or by timing (no user enumeration): the texts are
the same, and every path hashes as many passwords, and runs the same SQL statements. Only mails, which the owner of the
address reads, differ.
"""

from datetime import timedelta
from pathlib import Path

import tomllib
from flask import Flask, abort, current_app, g, request, session
from flask.typing import ResponseReturnValue
from flask_security import SQLAlchemyUserDatastore, hash_password, signals, uia_email_mapper
from flask_security.utils import validate_redirect_url
from sqlalchemy.exc import IntegrityError
from werkzeug.sansio.utils import host_is_trusted

from app import device_cookies
from app.account import security_events, sessions
from app.account.confirmation import confirm_email
from app.account.forms import (
    ChangePasswordForm,
    ForgotPasswordForm,
    LoginForm,
    RegisterForm,
    SendConfirmationForm,
    VerifyForm,
)
from app.account.models import Role, User
from app.account.password_hashing import PasswordContext
from app.database import db, utc_now
from app.extensions import security
from app.mail import NOBODY

# OWASP's recommended minimum. The library's default of 64 MiB per hash, multiplied by the threads of a server, would
# exceed the memory of a small machine.
# https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html
ARGON2 = {"argon2__memory_cost": 19 * 1024, "argon2__time_cost": 2, "argon2__parallelism": 1}

# https://flask-security-too.readthedocs.io/en/stable/configuration.html
SETTINGS = {
    "REGISTERABLE": True,
    "CONFIRMABLE": True,
    "RECOVERABLE": True,
    "CHANGEABLE": True,
    "TRACKABLE": True,
    "RETURN_GENERIC_RESPONSES": True,
    # Default: case-insensitive comparison in SQL. Not needed, because all stored addresses are in lower case.
    "USER_IDENTITY_ATTRIBUTES": [{"email": {"mapper": uia_email_mapper, "case_insensitive": False}}],
    "EMAIL_VALIDATOR_ARGS": {"check_deliverability": False},  # Default: True, which queries the DNS.
    "EMAIL_HTML": False,
    # Rejects common passwords, and names, dates and keyboard patterns: fewer than a million guesses (score 0 and 1).
    "PASSWORD_COMPLEXITY_CHECKER": "zxcvbn",
    "ZXCVBN_MINIMUM_SCORE": 2,
    "PASSWORD_SCHEMES": ["argon2"],
    "PASSWORD_HASH_PASSLIB_OPTIONS": ARGON2,
    "PASSWORD_SINGLE_HASH": ["argon2"],  # Default: an additional HMAC, whose secret could never be changed.
    "HASHING_SCHEMES": ["hex_sha256"],  # For mailed links. The default takes 0.3 s, which would reveal accounts.
    "EMAIL_SUBJECT_REGISTER": "Your account",
    "RESET_PASSWORD_WITHIN": timedelta(hours=2),
    # The API tokens ask for the password again, unless it was entered within this time. Pages with a password field ask
    # always. Default: a day, and an hour more after each such page.
    "FRESHNESS": timedelta(minutes=15),
    "FRESHNESS_GRACE_PERIOD": timedelta(0),
    "API_ENABLED_METHODS": ["session"],  # Flask-Security's own tokens are not used.
    "CACHE_CONTROL": {"private": None, "no-store": None},  # The default results in the malformed `no-store=True`.
    "DATETIME_FACTORY": utc_now,
    "STATIC_FOLDER": None,
    "POST_REGISTER_VIEW": "/login",
    "POST_CHANGE_VIEW": "/account",
}

# Views that send mails with links.
MAIL_ENDPOINTS = {
    f"security.{name}"
    for name in ("register", "send_confirmation", "forgot_password", "reset_password", "change_password")
}

MESSAGES = tomllib.loads(Path(__file__).with_name("messages.toml").read_text())


def init_app(app: Flask) -> None:
    """Initialize Flask-Security. SECURITY_* settings that `app` already has take precedence (tests use this)."""
    for name, value in SETTINGS.items():
        app.config.setdefault(f"SECURITY_{name}", value)
    for name, message in MESSAGES.items():
        app.config.setdefault(f"SECURITY_MSG_{name}", message)
    app.config.update(SESSION_REFRESH_EACH_REQUEST=False)

    datastore = Datastore(db, User, Role)
    security.init_app(
        app,
        datastore,
        login_form=LoginForm,
        register_form=RegisterForm,
        forgot_password_form=ForgotPasswordForm,
        send_confirmation_form=SendConfirmationForm,
        change_password_form=ChangePasswordForm,
        verify_form=VerifyForm,
    )
    security.pwd_context = PasswordContext(security.pwd_context)
    app.view_functions["security.confirm_email"] = confirm_email
    for serializer in (security.reset_serializer, security.confirm_serializer):
        # Flask-Security passes SECRET_KEY first. itsdangerous signs with the last key, and accepts all.
        serializer.secret_keys.reverse()
    security.want_json(lambda request: False)  # these views only answer with HTML
    # Flask-Security would look for tokens of its own in the JSON of every request.
    app.login_manager.request_loader(lambda request: None)
    app.before_request(refuse_malformed_next)
    app.before_request(refuse_unlisted_hosts)
    app.register_error_handler(IntegrityError, register_again)

    signals.user_authenticated.connect(start_session, app)
    sessions.init_app(app)
    signals.password_reset.connect(revoke_credentials, app)
    signals.password_changed.connect(record_change, app)
    signals.reset_password_instructions_sent.connect(equalize_timing, app)


def refuse_malformed_next() -> None:
    """Answer 400 to an address to continue at that cannot be parsed. Flask-Security would answer 500."""
    if request.blueprint != "security":
        return
    for source in (request.args, request.form):
        for address in source.getlist("next"):
            try:
                validate_redirect_url(address)
            except ValueError:
                abort(400, "The address to continue at is malformed.")


def refuse_unlisted_hosts() -> None:
    """Answer 400 to a form that sends mail if its host and port are not listed in ALLOWED_HOSTS.

    Links in mails lead to the host and the port of the request. On every other page, the middleware checks the host
    alone (deploy/middleware/allowed_hosts.py): a published port need not be listed to be served.
    """
    allowed = current_app.config["ALLOWED_HOSTS"]
    if request.endpoint not in MAIL_ENDPOINTS or request.method != "POST" or "*" in allowed:
        return
    port = request.host.rpartition(":")[2] if not request.host.endswith("]") and ":" in request.host else ""
    names = [name for name, _, listed in (entry.partition(":") for entry in allowed) if listed == port or not port]
    if not any(host_is_trusted(request.host, [name]) for name in names):
        abort(400, f"Mails with links to {request.host} are not sent: add it to ALLOWED_HOSTS.")


class Datastore(SQLAlchemyUserDatastore):
    """Flask-Security's queries."""

    def create_user(self, **attributes) -> User:
        """Add a user, now and not at the commit, which would be too late for register_again()."""
        user = super().create_user(**attributes)
        db.session.flush()
        return user


def register_again(error: IntegrityError) -> ResponseReturnValue:
    """Run the view of a registration again, if a concurrent one has just taken the username or the email address.

    The view now sees the other account.
    """
    if request.endpoint != "security.register" or "is_second_run" in g:
        raise error
    g.is_second_run = True
    db.session.rollback()
    return current_app.view_functions[request.endpoint]()


def start_session(app: Flask, user: User, **details) -> None:
    """Start the session of a login with a new CSRF token (session fixation), and reset the failed logins."""
    session.pop("csrf_token", None)
    user.unlock()


def revoke_credentials(app: Flask, user: User, **details) -> None:
    """After a password reset, end all sessions and revoke all tokens and device cookies.

    Only the owner of the mailbox can reset the password. So this also unlocks the account and confirms the address.
    """
    user.unlock()
    user.confirmed_at = user.confirmed_at or utc_now()
    user.revoke_tokens()
    user.end_sessions()
    device_cookies.renew(user)
    security_events.record("password_reset", user)


def record_change(app: Flask, user: User, **details) -> None:
    """Record the change of a password, and revoke the tokens if the form says so."""
    security_events.record("password_changed", user)
    if "revoke_tokens" in request.form:
        user.revoke_tokens()
        security_events.record("tokens_revoked", user)


def equalize_timing(app: Flask, user: User, **details) -> None:
    """Hash a password, as Flask-Security's view of password resets does for addresses without an account."""
    if user.email != NOBODY:
        db.session.rollback()  # no transaction is open while a password is hashed
        hash_password("equal response time")
