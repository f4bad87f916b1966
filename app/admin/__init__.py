"""The pages of those who keep order, and the command that makes the first of them."""

from app.admin import commands  # noqa: F401  (adds the command to bp)
from app.admin.views import bp

__all__ = ["bp"]
