"""The database's schema, as steps from one release to the next.

`python3 -m app.migrations` brings a database up to date. `flask --app app.wsgi db` can do all that Flask-Migrate can.
"""

from flask_migrate import Migrate

from app.database import db

migrate = Migrate(db=db, directory=__path__[0], render_as_batch=True)
