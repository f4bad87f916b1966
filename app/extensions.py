"""The extensions that modules share, made here so that no module has to import the app. The database's: database.py."""

import click
from flask import Flask
from flask_security import Security
from flask_wtf import CSRFProtect

from app import database
from app.mail import Mail

csrf = CSRFProtect()
security = Security(mail_util_cls=Mail)  # started by app/account/auth.py, which knows the models


def init_app(app: Flask) -> None:
    """Start the extensions."""
    database.init_app(app)
    csrf.init_app(app)
    if click.get_current_context(silent=True):  # not in a server: Alembic would be a sixth of its start
        from app.migrations import migrate

        migrate.init_app(app)
