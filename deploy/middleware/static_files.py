"""Static files where there is no Nginx in front (PORT is set, as on Heroku): the same names, the same headers."""

import re
from pathlib import Path

from whitenoise import WhiteNoise

from deploy.middleware.plain_response import plain_response

PREFIX = "/static/"
# deploy/assets.py writes such names: css/site.4f0c2a91b3d5.css; nginx/conf.d/static-cache.conf knows the same pattern.
HASHED = re.compile(r"\.[0-9a-f]{12}\.[a-z0-9]+$")


def _headers(headers, path, url):
    """The headers of nginx/snippets/static.conf; WhiteNoise's own would be ten years, and CORS for everybody."""
    headers["Cache-Control"] = "public, max-age=31536000, immutable" if HASHED.search(url) else "no-cache"
    headers["X-Content-Type-Options"] = "nosniff"


def wrap(app, settings):
    root = Path(settings["STATIC_ROOT"])
    if not settings["PORT"] or not root.is_dir():
        return app

    def otherwise(environ, start_response):
        if environ["PATH_INFO"].startswith(PREFIX):
            return plain_response(start_response, "404 Not Found")
        return app(environ, start_response)

    return WhiteNoise(otherwise, root=str(root), prefix=PREFIX, add_headers_function=_headers, allow_all_origins=False)
