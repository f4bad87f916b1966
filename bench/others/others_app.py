"""The app without any of the stack's middleware, under the one name that the configurations here import."""

import os

from gunicorn.util import import_app  # knows module:callable and module:factory()

application = import_app(os.environ["WSGI_APP"])
