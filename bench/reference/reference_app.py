"""The measured app without the stack's middleware, under one import name for all reference configurations."""

import os

from gunicorn.util import import_app  # accepts module:callable and module:factory()

application = import_app(os.environ["WSGI_APP"])
