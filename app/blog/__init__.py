"""The blog: timelines, posts, profiles and search."""

from app.blog.views import bp

__all__ = ["bp"]
