"""Serve the assets if there is no Nginx (PORT is set, as on Heroku), below the same names and with the same headers."""

import re
from pathlib import Path

from whitenoise import WhiteNoise

from deploy.assets import HASHED_NAME, media_type
from deploy.middleware.plain_response import plain_response

PREFIX = "/static/"


def _set_headers(headers, path, url):
    """The headers of nginx/snippets/static.conf. WhiteNoise would set max-age to ten years, and allow any origin."""
    headers["Cache-Control"] = "public, max-age=31536000, immutable" if HASHED_NAME.search(url) else "no-cache"
    headers["Content-Type"] = media_type(url)
    headers["X-Content-Type-Options"] = "nosniff"


def wrap(app, settings):
    root = Path(settings["STATIC_ROOT"])
    if not settings["PORT"] or not root.is_dir():
        return app

    def without_file(environ, start_response):
        if environ["PATH_INFO"].startswith(PREFIX):
            return plain_response(start_response, "404 Not Found")
        return app(environ, start_response)

    files = WhiteNoise(
        without_file, root=str(root), prefix=PREFIX, add_headers_function=_set_headers, allow_all_origins=False
    )

    def static_files(environ, start_response):
        if environ["PATH_INFO"].startswith(PREFIX):
            # Nginx and Apache find files below double slashes too, and do not serve hidden files.
            environ["PATH_INFO"] = re.sub("//+", "/", environ["PATH_INFO"])
            if "/." in environ["PATH_INFO"]:
                return plain_response(start_response, "404 Not Found")
        return files(environ, start_response)

    return static_files
