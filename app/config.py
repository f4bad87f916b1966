"""Configuration of the sample app, read from environment variables. No other module reads the environment.

deploy/settings.py documents the variables for operators.
"""

import os
import re
import secrets
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import click
from flask import Flask

SIZE_UNITS = {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3}  # the suffixes of Nginx


class ConfigError(RuntimeError):
    """A setting is missing or invalid."""

    def __init__(self, error: str, cause: str, fix: str):
        super().__init__(f"error: {error}\ncause: {cause}\nfix:   {fix}")


def init_app(app: Flask, overrides: Mapping[str, Any]) -> None:
    """Configure `app` from the environment and then from `overrides`. Raises ConfigError for unsafe configurations."""
    app.config.from_mapping(from_environment())
    app.config.from_mapping(overrides)
    _require_secret_key(app)
    app.config.setdefault("WTF_CSRF_SECRET_KEY", signing_keys(app))  # Default: SECRET_KEY without the fallbacks.


def signing_keys(app: Flask) -> list[str]:
    """Return the keys that are accepted. itsdangerous signs with the last one, which is SECRET_KEY."""
    return [*app.config["SECRET_KEY_FALLBACKS"], app.secret_key]


def from_environment(env: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """Return Flask's configuration for the environment variables `env`. Raises ConfigError for invalid values."""
    return {
        "SECRET_KEY": env.get("SECRET_KEY"),
        "SECRET_KEY_FALLBACKS": (env.get("SECRET_KEY_FALLBACKS") or "").replace(",", " ").split(),
        "SQLALCHEMY_DATABASE_URI": database_url(env.get("DATABASE_URL") or "sqlite:///app.db"),
        "MAX_CONTENT_LENGTH": parse_size(env.get("MAX_BODY_SIZE") or "10m"),
        # Defaults: 500 kB and 1000 parts. The longest form of this app has 500 characters of text.
        "MAX_FORM_MEMORY_SIZE": parse_size("256k"),
        "MAX_FORM_PARTS": 100,
        "STATIC_ROOT": env.get("STATIC_ROOT"),
        "SMTP_URL": env.get("SMTP_URL"),
        "MAIL_FOLDER": Path(env.get("STATE_DIRECTORY") or "instance").resolve() / "mail",  # used without SMTP_URL
        "CORS_ORIGINS": (env.get("CORS_ORIGINS") or "").replace(",", " ").split(),
        "RATE_LIMITS": parse_switch("RATE_LIMITS", env.get("RATE_LIMITS") or "on"),
        "REDIS_URL": env.get("REDIS_URL"),
        "PERMANENT_SESSION_LIFETIME": parse_seconds("SESSION_LIFETIME", env.get("SESSION_LIFETIME") or "1209600"),
        "SESSION_IDLE_TIMEOUT": parse_seconds("SESSION_IDLE_TIMEOUT", env.get("SESSION_IDLE_TIMEOUT") or "259200"),
        "SECURITY_EMAIL_SENDER": env.get("MAIL_FROM") or "tripod@localhost",
    }


def database_url(url: str) -> str:
    """Return `url` with the installed driver, psycopg 3, for PostgreSQL.

    Heroku sets `postgres://`, which SQLAlchemy does not accept. Flask-SQLAlchemy resolves a relative `sqlite:///` path
    in Flask's instance folder.
    """
    return re.sub(r"^postgres(ql)?://", "postgresql+psycopg://", url)


def parse_switch(name: str, text: str) -> bool:
    """Return True for `on` and False for `off`. Raises ConfigError for other values."""
    if text not in ("on", "off"):
        raise ConfigError(
            f"{name} is {text!r}, which is neither on nor off.",
            "A wrong guess could disable a protection without notice.",
            f"{name}=on (or remove it: the default is on)",
        )
    return text == "on"


def parse_seconds(name: str, text: str) -> timedelta:
    """Return a duration in seconds. Raises ConfigError unless `text` is a whole number above 0."""
    if not re.fullmatch(r"[0-9]{1,9}", text) or int(text) == 0:
        raise ConfigError(
            f"{name} is {text!r}, which is not a number of seconds.",
            "Without it, a session that was stolen or left open would never end.",
            f"{name}=86400 (a whole number above 0)",
        )
    return timedelta(seconds=int(text))


def parse_size(text: str) -> int | None:
    """Return the number of bytes of a size in Nginx's notation (`512`, `64k`, `10m`, `1g`), or None (no limit) for `0`.

    Raises ConfigError for other values. https://nginx.org/en/docs/syntax.html
    """
    match = re.fullmatch(r"([0-9]+)([kmg]?)", text.strip().lower())
    if not match:
        raise ConfigError(
            f"MAX_BODY_SIZE is {text!r}, which is not a size.",
            "Without a limit, a single request could use up the memory of this machine.",
            "MAX_BODY_SIZE=10m (a whole number with the suffix k, m or g)",
        )
    return int(match[1]) * SIZE_UNITS[match[2]] or None


def _require_secret_key(app: Flask) -> None:
    """Require SECRET_KEY in production. In development and tests, generate a random key at each start.

    Commands such as `flask db upgrade` sign nothing, so they work without a key too.
    """
    if app.secret_key:
        return
    is_command = click.get_current_context(silent=True) is not None
    if app.debug or app.testing or is_command:
        app.secret_key = secrets.token_hex()
        return
    raise ConfigError(
        "SECRET_KEY is not set.",
        "It signs the session cookie. Without it, logins and forms are not secure.",
        "export SECRET_KEY=$(python3 -c 'import secrets; print(secrets.token_hex(32))')",
    )
