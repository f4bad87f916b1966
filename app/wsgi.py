"""The WSGI entry point: `app.wsgi:application`."""

import os

from app import create_app
from app.database import db

application = create_app()

# Forked worker processes must not share database connections: they would read each other's results. No connection is
# open at this point, but correctness must not depend on that. close=False leaves the parent's connections open.
with application.app_context():
    engine = db.engine
os.register_at_fork(after_in_child=lambda: engine.dispose(close=False))
