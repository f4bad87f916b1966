"""Readiness: may this app be given traffic?"""

from app.readiness.views import bp

__all__ = ["bp"]
