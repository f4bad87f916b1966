"""Readiness: may this app be given traffic?"""

from app.health.views import bp

__all__ = ["bp"]
