"""Flask extensions that several modules use. The database has a module of its own: database.py."""

import click
from flask import Flask
from flask_security import Security
from flask_wtf import CSRFProtect

from app import database
from app.mail import Mail
from app.passwords import Passwords

csrf = CSRFProtect()
# account/auth.py initializes it, because it needs the models.
security = Security(mail_util_cls=Mail, password_util_cls=Passwords)


def init_app(app: Flask) -> None:
    """Initialize the extensions."""
    database.init_app(app)
    csrf.init_app(app)
    is_command = click.get_current_context(silent=True) is not None
    if is_command:  # WSGI servers do not migrate, and importing Alembic takes a sixth of the app's start time
        from app.migrations import migrate

        migrate.init_app(app)
