"""What a WSGI server loads: `app.wsgi:application`."""

import os

from app import create_app
from app.database import db

application = create_app()

# Processes that share a connection get each other's answers. None is open now, but a fork must not depend on that.
with application.app_context():
    os.register_at_fork(after_in_child=lambda engine=db.engine: engine.dispose(close=False))
