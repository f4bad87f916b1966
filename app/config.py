"""Configuration: environment variables in, Flask's names out. No other file reads the environment."""

import os
import re
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
from flask import Flask

SIZE_UNITS = {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3}  # the letters Nginx knows


class ConfigError(RuntimeError):
    """The environment cannot be used; the text says what is wrong, why it matters and what to type."""


def init_app(app: Flask, overrides: Mapping[str, Any]) -> None:
    """Fill `app.config` from the environment, then from `overrides`; refuse what would be unsafe to run."""
    app.config.from_mapping(from_environment())
    app.config.from_mapping(overrides)
    _require_secret_key(app)


def from_environment(env: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """Return Flask's configuration for the environment `env`. Raises ConfigError for an unusable value."""
    return {
        "SECRET_KEY": env.get("SECRET_KEY"),
        "SQLALCHEMY_DATABASE_URI": database_url(env.get("DATABASE_URL") or "sqlite:///app.db"),
        "MAX_CONTENT_LENGTH": size(env.get("MAX_BODY_SIZE") or "10m"),
        # The longest form here is 500 characters. Flask's own limits, 500 kB and 1000 parts, suit uploads.
        "MAX_FORM_MEMORY_SIZE": size("256k"),
        "MAX_FORM_PARTS": 100,
        "STATIC_ROOT": env.get("STATIC_ROOT"),
        "SMTP_URL": env.get("SMTP_URL"),
        "MAIL_FOLDER": Path(env.get("STATE_DIRECTORY") or "instance").resolve() / "mail",  # without SMTP_URL
        "CORS_ORIGINS": (env.get("CORS_ORIGINS") or "").replace(",", " ").split(),
        "RATE_LIMITS": switch("RATE_LIMITS", env.get("RATE_LIMITS") or "on"),
        "REDIS_URL": env.get("REDIS_URL"),
        "SECURITY_EMAIL_SENDER": env.get("MAIL_FROM") or "tripod@localhost",
    }


def database_url(url: str) -> str:
    """Return `url` with the driver that is installed, psycopg 3, for any PostgreSQL address.

    Heroku gives `postgres://`, which SQLAlchemy does not know. A relative `sqlite:///` file is looked for in
    Flask's instance folder.
    """
    return re.sub(r"^postgres(ql)?://", "postgresql+psycopg://", url)


def switch(name: str, text: str) -> bool:
    """Return whether `text` is `on`. Raises ConfigError if it is neither that nor `off`."""
    if text not in ("on", "off"):
        raise ConfigError(
            f"{name} is {text!r}, which is neither on nor off.\n"
            "To take it for one of the two could leave a protection away without anybody noticing.\n"
            f"Write {name}=on, or leave it out."
        )
    return text == "on"


def size(text: str) -> int | None:
    """Return the bytes in a size as Nginx writes it: `512`, `64k`, `10m`, `1g`; None (no limit) for `0`.

    Raises ConfigError for anything else. https://nginx.org/en/docs/syntax.html
    """
    match = re.fullmatch(r"([0-9]+)([kmg]?)", text.strip().lower())
    if not match:
        raise ConfigError(
            f"MAX_BODY_SIZE is {text!r}, which is not a size.\n"
            "Without a limit anybody could fill the memory of this machine with one request.\n"
            "Write a whole number and one of k, m, g: MAX_BODY_SIZE=10m"
        )
    return int(match[1]) * SIZE_UNITS[match[2]] or None


def _require_secret_key(app: Flask) -> None:
    """Refuse to serve without SECRET_KEY; make one up for development, another at each start.

    Commands such as `flask db upgrade` sign nothing and need none.
    """
    if app.secret_key:
        return
    if app.debug or app.testing or click.get_current_context(silent=True):
        app.secret_key = secrets.token_hex()
        return
    raise ConfigError(
        "SECRET_KEY is not set.\n"
        "It signs the session cookie: without it nobody can be logged in, nor any form be trusted.\n"
        "Make one, and keep it:\n"
        "    export SECRET_KEY=$(python3 -c 'import secrets; print(secrets.token_hex(32))')"
    )
