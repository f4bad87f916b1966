"""Configuration of Flask-Security: its settings, its messages, and additional steps at login.

Whether an email address has an account is not revealed by responses or by timing (no user enumeration): the texts are
the same, and every path hashes exactly one password. Only mails, which the owner of the address reads, differ.
"""

from datetime import timedelta
from pathlib import Path

import tomllib
from flask import Flask, session
from flask_security import SQLAlchemyUserDatastore, hash_password, signals, uia_email_mapper

from app.account.forms import LoginForm, RegisterForm
from app.account.models import Role, User
from app.account.password_hashing import PasswordContext
from app.database import db, utc_now
from app.extensions import security

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
    "PASSWORD_SCHEMES": ["argon2"],
    "PASSWORD_HASH_PASSLIB_OPTIONS": ARGON2,
    "PASSWORD_SINGLE_HASH": ["argon2"],  # Default: an additional HMAC, whose secret could never be changed.
    "HASHING_SCHEMES": ["hex_sha256"],  # For mailed links. The default takes 0.3 s, which would reveal accounts.
    "EMAIL_SUBJECT_REGISTER": "Your account",
    "RESET_PASSWORD_WITHIN": timedelta(hours=2),
    "FRESHNESS": timedelta(seconds=-1),  # Only pages with a password field ask for the password again.
    "API_ENABLED_METHODS": ["session"],  # Flask-Security's own tokens are not used.
    "CACHE_CONTROL": {"private": None, "no-store": None},  # The default results in the malformed `no-store=True`.
    "DATETIME_FACTORY": utc_now,
    "STATIC_FOLDER": None,
    "POST_REGISTER_VIEW": "/login",
    "POST_CHANGE_VIEW": "/account",
}

MESSAGES = tomllib.loads(Path(__file__).with_name("messages.toml").read_text())


def init_app(app: Flask) -> None:
    """Initialize Flask-Security. SECURITY_* settings that `app` already has take precedence (tests use this)."""
    for name, value in SETTINGS.items():
        app.config.setdefault(f"SECURITY_{name}", value)
    for name, message in MESSAGES.items():
        app.config.setdefault(f"SECURITY_MSG_{name}", message)
    app.config.update(PERMANENT_SESSION_LIFETIME=timedelta(days=14), SESSION_REFRESH_EACH_REQUEST=False)

    datastore = SQLAlchemyUserDatastore(db, User, Role)
    security.init_app(app, datastore, login_form=LoginForm, register_form=RegisterForm)
    security.pwd_context = PasswordContext(security.pwd_context)
    security.want_json(lambda request: False)  # these views only answer with HTML

    signals.user_authenticated.connect(start_session, app)
    signals.password_reset.connect(unlock_account, app)
    signals.reset_password_instructions_sent.connect(equalize_timing, app)
    signals.confirm_instructions_sent.connect(equalize_timing, app)


def start_session(app: Flask, user: User, **details) -> None:
    """Start the session of a login with a new CSRF token (session fixation), and reset the failed logins."""
    session.pop("csrf_token", None)
    session.permanent = True
    user.unlock()


def unlock_account(app: Flask, user: User, **details) -> None:
    """Unlock the account after a password reset, which only the owner of the mailbox can do."""
    user.unlock()


def equalize_timing(app: Flask, **details) -> None:
    """Hash a password, as Flask-Security does for addresses without an account."""
    hash_password("equal response time")
