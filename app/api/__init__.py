"""The JSON API, version 1."""

# The modules with views, which register themselves; the order is that of the documentation.
from app.api import posts, users, tokens, docs  # isort: skip  # noqa: F401
from app.api.blueprint import bp
from app.api.docs import SPEC_PATH, init_app

__all__ = ["SPEC_PATH", "bp", "init_app"]
