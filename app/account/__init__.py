"""Accounts: log-in and all around it, one's own profile, tokens for programs."""

from app.account.auth import init_app
from app.account.views import bp

__all__ = ["bp", "init_app"]
