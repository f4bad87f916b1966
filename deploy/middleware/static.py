"""Static files where there is no Nginx in front (PORT is set, as on Heroku): the same names and headers."""

import re
from pathlib import Path

from whitenoise import WhiteNoise

# deploy/assets.py writes names such as css/site.4f0c2a91b3d5.css; nginx/conf.d/static.conf knows the same pattern.
HASHED = re.compile(r"\.[0-9a-f]{12}\.[a-z0-9]+$")


def wrap(app, settings):
    root = Path(settings["STATIC_ROOT"])
    if not settings["PORT"] or not root.is_dir():
        return app
    return WhiteNoise(
        app,
        root=str(root),
        prefix="/static/",
        max_age=0,  # a plain name may change its content: ask again, by ETag
        immutable_file_test=lambda path, url: HASHED.search(url) is not None,
        allow_all_origins=False,  # WhiteNoise's default sends Access-Control-Allow-Origin: *
    )
