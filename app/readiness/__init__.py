"""The readiness check."""

from app.readiness.views import bp

__all__ = ["bp"]
