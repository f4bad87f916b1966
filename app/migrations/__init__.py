"""Migrations: the changes of the database schema, in order.

`python3 -m app.migrations` applies them. `flask --app app.wsgi db` provides all commands of Flask-Migrate.
"""

from flask_migrate import Migrate

from app.database import db

migrate = Migrate(db=db, directory=__path__[0], render_as_batch=True)
