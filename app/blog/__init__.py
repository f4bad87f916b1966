"""The front page: short notes, newest first, and the form that adds one."""

from app.blog.views import bp

__all__ = ["bp"]
