"""The JSON API, version 1."""

from app.api.views import bp

__all__ = ["bp"]
