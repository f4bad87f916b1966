"""The extensions that modules share, made here so that no module has to import the app."""

from pathlib import Path

from flask import Flask
from flask_migrate import Migrate
from flask_security import Security
from flask_sqlalchemy import SQLAlchemy
from flask_wtf import CSRFProtect

from app import database
from app.mail import Mail

db = SQLAlchemy(metadata=database.METADATA)
migrate = Migrate(directory=Path(__file__).with_name("migrations"), render_as_batch=True)
csrf = CSRFProtect()
security = Security(mail_util_cls=Mail)  # started by app/account/auth.py, which knows the models


def init_app(app: Flask) -> None:
    """Start the extensions, the database with the settings that suit its kind."""
    url = app.config["SQLALCHEMY_DATABASE_URI"]
    app.config.setdefault("SQLALCHEMY_ENGINE_OPTIONS", database.engine_options(url))
    db.init_app(app)
    with app.app_context():
        database.listen(db.engine)
    migrate.init_app(app, db)
    csrf.init_app(app)
