"""Flask-Security, set up: what it may do, what it says, and what has to happen besides at a log-in.

Nothing tells whether an email has an account: neither a text, nor the time an answer takes (each path hashes one
password). The one exception is whoever reads that mailbox.
"""

from datetime import timedelta
from pathlib import Path

import tomllib
from flask import Flask, session
from flask_security import SQLAlchemyUserDatastore, hash_password, signals, uia_email_mapper

from app.account.forms import LoginForm, RegisterForm
from app.account.models import Role, User
from app.database import db, utc_now
from app.extensions import security

# What OWASP advises at least. The library's own 64 MiB, times the threads of a server, would fill a small machine.
# https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html
ARGON2 = {"argon2__memory_cost": 19 * 1024, "argon2__time_cost": 2, "argon2__parallelism": 1}

SETTINGS = {
    **dict.fromkeys(("REGISTERABLE", "CONFIRMABLE", "RECOVERABLE", "CHANGEABLE", "TRACKABLE"), True),
    "RETURN_GENERIC_RESPONSES": True,
    "USER_IDENTITY_ATTRIBUTES": [{"email": {"mapper": uia_email_mapper, "case_insensitive": False}}],  # all are lower
    "EMAIL_VALIDATOR_ARGS": {"check_deliverability": False},  # default: asks the DNS
    "EMAIL_HTML": False,
    "PASSWORD_SCHEMES": ["argon2"],
    "PASSWORD_HASH_PASSLIB_OPTIONS": ARGON2,
    "PASSWORD_SINGLE_HASH": ["argon2"],  # default: an HMAC as well, with one more secret to keep for ever
    "HASHING_SCHEMES": ["hex_sha256"],  # in mailed links; the default takes 0.3 s, by which one could tell who has one
    "EMAIL_SUBJECT_REGISTER": "Your account",
    "RESET_PASSWORD_WITHIN": timedelta(hours=2),
    "FRESHNESS": timedelta(seconds=-1),  # no page asks for the password again but those with a field for it
    "API_ENABLED_METHODS": ["session"],  # Flask-Security's own tokens are not used
    "CACHE_CONTROL": {"private": None, "no-store": None},  # default: malformed, `no-store=True`
    "DATETIME_FACTORY": utc_now,
    "STATIC_FOLDER": None,
    "POST_REGISTER_VIEW": "/login",
    "POST_CHANGE_VIEW": "/account",
}

MESSAGES = tomllib.loads(Path(__file__).with_name("messages.toml").read_text())


def init_app(app: Flask) -> None:
    """Let people register, log in and change passwords. Tests may set SECURITY_… of their own."""
    for name, value in SETTINGS.items():
        app.config.setdefault(f"SECURITY_{name}", value)
    for name, message in MESSAGES.items():
        app.config.setdefault(f"SECURITY_MSG_{name}", message)
    app.config.update(PERMANENT_SESSION_LIFETIME=timedelta(days=14), SESSION_REFRESH_EACH_REQUEST=False)
    datastore = SQLAlchemyUserDatastore(db, User, Role)
    security.init_app(app, datastore, login_form=LoginForm, register_form=RegisterForm)
    security.want_json(lambda request: False)  # these pages are for people
    signals.user_authenticated.connect(begin_session, app)
    signals.password_reset.connect(forget_failures, app)
    for signal in (signals.reset_password_instructions_sent, signals.confirm_instructions_sent):
        signal.connect(take_as_long, app)


def begin_session(app: Flask, user: User, **details) -> None:
    """Give a log-in a session that nobody has prepared: a CSRF token from before it is worth nothing after it."""
    session.pop("csrf_token", None)
    session.permanent = True
    user.unlock()


def forget_failures(app: Flask, user: User, **details) -> None:
    """Unlock the account of somebody who reads its mail."""
    user.unlock()


def take_as_long(app: Flask, **details) -> None:
    """Hash a password, as is done for an address that has no account."""
    hash_password("an address without an account takes this long")
