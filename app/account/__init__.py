"""Accounts: registration, login, the account page and API tokens."""

from app.account.auth import init_app
from app.account.views import bp

__all__ = ["bp", "init_app"]
