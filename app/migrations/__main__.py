"""Brings the database up to date, as `flask --app app.wsgi db upgrade` does, but without loading the whole app.

It is the release command, and nobody is served before it has ended.
"""

from flask import Flask
from flask_migrate import upgrade

from app import config, database
from app.migrations import migrate

app = Flask("app")
app.config.from_mapping(config.from_environment())
database.init_app(app)
migrate.init_app(app)
with app.app_context():
    upgrade()
