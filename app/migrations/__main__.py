"""Migrate the database like `flask --app app.wsgi db upgrade`, but without loading the whole app.

This is the default release command. It runs before a new container is promoted, so its start time delays every release.
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
