"""The JSON API, version 1."""

# Importing the modules registers their views. The documentation lists them in this order.
from app.api import posts, users, tokens, docs  # isort: skip  # noqa: F401
from app.api.blueprint import bp
from app.api.docs import SPEC_PATH, init_app

__all__ = ["SPEC_PATH", "bp", "init_app"]
