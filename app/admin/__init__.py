"""Admin pages, and the command that creates the first admin."""

from app.admin import commands  # noqa: F401  (registers the command)
from app.admin.views import bp

__all__ = ["bp"]
