"""Static files: where they are served from, and the names under which pages link to them.

Templates always use url_for("static", filename="css/site.css"). If the files were built (STATIC_ROOT), .manifest.json
maps that name to a name with a hash of the content, which clients may cache forever.
"""

import json
import mimetypes
import re
import shutil
from importlib.resources import files
from pathlib import Path

import click
from flask import Blueprint, Flask, Response, abort

# Name below static/ → (installed package, file in it). The Bootstrap-Flask package contains Bootstrap, so it is neither
# committed to this repository nor loaded from a CDN. Nothing else of that package is used.
VENDORED = {"vendor/bootstrap.min.css": ("flask_bootstrap", "static/bootstrap5/css/bootstrap.min.css")}

SOURCE_MAP_COMMENT = re.compile(rb"/[*/][#@] sourceMappingURL=\S+( \*/)?\s*")  # refers to a file that is not included

vendor = Blueprint("vendor", __name__)


def init_app(app: Flask) -> None:
    """Serve static files from STATIC_ROOT if it is set, else from the sources."""
    static_root = app.config["STATIC_ROOT"]
    if static_root:
        app.static_folder = static_root
        _use_hashed_names(app, Path(static_root) / ".manifest.json")
    else:
        app.register_blueprint(vendor)
    app.cli.command("assets")(copy_static_files)


def read_vendored(name: str) -> bytes:
    """Return the content of the vendored file `name`, without its source map comment."""
    package, path = VENDORED[name]
    content = files(package).joinpath(path).read_bytes()
    return SOURCE_MAP_COMMENT.sub(b"", content)


@vendor.get("/static/vendor/<name>")
def serve_vendored(name: str) -> Response:
    """Serve a vendored file from its package, so that development needs no build step."""
    path = f"vendor/{name}"
    if path not in VENDORED:
        abort(404)
    return Response(read_vendored(path), mimetype=mimetypes.guess_type(name)[0])


@click.argument("dest", type=click.Path(path_type=Path))
def copy_static_files(dest: Path) -> None:
    """Copy all static files, including vendored ones, to the folder DEST under their source names."""
    shutil.copytree(Path(__file__).with_name("static"), dest, dirs_exist_ok=True)
    for name in VENDORED:
        target = dest / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(read_vendored(name))


def _use_hashed_names(app: Flask, manifest: Path) -> None:
    """Make url_for() use the hashed names in `manifest`, such as {"css/site.css": "css/site.<hash>.css"}."""
    # Read once at startup: built files do not change while the app runs.
    hashed_names = json.loads(manifest.read_text()) if manifest.exists() else {}

    @app.url_defaults
    def use_hashed_name(endpoint: str, values: dict) -> None:
        if endpoint == "static":
            values["filename"] = hashed_names.get(values["filename"], values["filename"])
