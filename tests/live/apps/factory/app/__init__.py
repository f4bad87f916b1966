"""A shop: an app factory in a package with the same name as the sample app's package."""

import json
import os
import secrets
from logging.config import dictConfig
from pathlib import Path

import humanize
from flask import Flask, abort, flash, redirect, render_template, request, session, url_for

# The first example of https://flask.palletsprojects.com/en/stable/logging/
dictConfig(
    {
        "version": 1,
        "formatters": {
            "default": {
                "format": "[%(asctime)s] %(levelname)s in %(module)s: %(message)s",
            }
        },
        "handlers": {
            "wsgi": {
                "class": "logging.StreamHandler",
                "stream": "ext://flask.logging.wsgi_errors_stream",
                "formatter": "default",
            }
        },
        "root": {"level": "INFO", "handlers": ["wsgi"]},
    }
)


def create_app() -> Flask:
    app = Flask(__name__)
    app.secret_key = os.environ["SECRET_KEY"]
    use_hashed_names(app)

    @app.get("/")
    def page():
        session.setdefault("token", secrets.token_hex())
        return render_template("page.html", price=humanize.intcomma(1234567), released=released())

    @app.post("/order")
    def order():
        if not secrets.compare_digest(request.form.get("token", ""), session.get("token", "-")):
            app.logger.warning("%s: order without a token", request.path)
            abort(400)
        flash(f"Ordered: {request.form['what']}")
        return redirect(url_for("page"))

    @app.get("/ready")
    def ready():
        return {"released": released()}, 200 if released() else 503

    return app


def released() -> int:
    """Return how often the release command has run. It writes one line each time."""
    log = Path(os.environ["STATE_DIRECTORY"]) / "releases"
    return len(log.read_text().splitlines()) if log.exists() else 0


def use_hashed_names(app: Flask) -> None:
    """Make url_for("static", filename="css/shop.css") return the hashed name, which is cached for a year."""
    manifest = Path(os.environ["STATIC_ROOT"]) / ".manifest.json"
    hashed = json.loads(manifest.read_text()) if manifest.exists() else {}

    @app.url_defaults
    def use_hashed_name(endpoint, values):
        if endpoint == "static":
            values["filename"] = hashed.get(values["filename"], values["filename"])
