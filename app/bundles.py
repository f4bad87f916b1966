"""Static files: whence they come, and under which name a page asks for them.

A template always writes url_for("static", filename="css/site.css"). Where the built files are (STATIC_ROOT) a
.manifest.json gives the name that carries a hash of the content; that name may be cached for ever.
"""

import json
import mimetypes
import re
import shutil
from importlib.resources import files
from pathlib import Path

import click
from flask import Blueprint, Flask, Response, abort

# Our name → (installed package, file in it). Bootstrap travels in the wheel of Bootstrap-Flask, so that it is
# neither committed nor fetched from a CDN; nothing else of that package is used.
VENDORED = {"vendor/bootstrap.min.css": ("flask_bootstrap", "static/bootstrap5/css/bootstrap.min.css")}

vendor = Blueprint("vendor", __name__)

SOURCE_MAP = re.compile(rb"/[*/][#@] sourceMappingURL=\S+( \*/)?\s*")  # names a file that we do not ship


def init_app(app: Flask) -> None:
    """Serve static files and name them in URLs, from STATIC_ROOT if there is one, else from the sources."""
    root = app.config["STATIC_ROOT"]
    if root:
        app.static_folder = root
        _use_hashed_names(app, Path(root) / ".manifest.json")
    else:
        app.register_blueprint(vendor)
    app.cli.command("assets")(gather)


def vendored(name: str) -> bytes:
    """Return the content of the vendored file `name`, without its mention of a source map."""
    package, path = VENDORED[name]
    return SOURCE_MAP.sub(b"", files(package).joinpath(path).read_bytes())


@vendor.get("/static/vendor/<name>")
def serve_vendored(name: str) -> Response:
    """Serve a vendored file out of its package: in development nothing has to be built first."""
    path = f"vendor/{name}"
    if path not in VENDORED:
        abort(404)
    return Response(vendored(path), mimetype=mimetypes.guess_type(name)[0])


@click.argument("dest", type=click.Path(path_type=Path))
def gather(dest: Path) -> None:
    """Copy all static files, ours and the vendored ones, to the folder DEST under their plain names."""
    shutil.copytree(Path(__file__).with_name("static"), dest, dirs_exist_ok=True)
    for name in VENDORED:
        target = dest / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(vendored(name))


def _use_hashed_names(app: Flask, manifest: Path) -> None:
    """Let url_for() map {"css/site.css": "css/site.<hash>.css", …}. Read once: built files do not change."""
    hashed = json.loads(manifest.read_text()) if manifest.exists() else {}

    @app.url_defaults
    def use_hashed_name(endpoint: str, values: dict) -> None:
        if endpoint == "static":
            values["filename"] = hashed.get(values["filename"], values["filename"])
