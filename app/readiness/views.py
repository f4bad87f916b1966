"""`GET /readyz`: can this app do its work now? Asked by whoever decides where traffic goes."""

from collections.abc import Callable

from flask import Blueprint, current_app
from sqlalchemy import NullPool, create_engine, text
from sqlalchemy.exc import SQLAlchemyError

from app.database import db, listen

bp = Blueprint("health", __name__)


@bp.get("/readyz")
def readyz() -> tuple[dict, int, dict]:
    """Answer 200 if all dependencies work, else 503 with the names of those that do not, within seconds."""
    checks = {name: _result(name, check) for name, check in CHECKS.items()}
    ready = set(checks.values()) == {"ok"}
    body = {"status": "ok" if ready else "unavailable", "checks": checks}
    return body, 200 if ready else 503, {"Cache-Control": "no-store"}


def check_database() -> None:
    """Raise SQLAlchemyError unless the database answers and its tables are there.

    Over a connection of its own: a busy pool is no reason to stop the traffic.
    """
    connect_args = current_app.config["SQLALCHEMY_ENGINE_OPTIONS"].get("connect_args", {})
    engine = create_engine(db.engine.url, poolclass=NullPool, connect_args=connect_args)
    listen(engine)
    with engine.connect() as connection:
        connection.execute(text("SELECT version_num FROM alembic_version")).one()


CHECKS: dict[str, Callable[[], None]] = {"database": check_database}  # name → raises SQLAlchemyError if down


def _result(name: str, check: Callable[[], None]) -> str:
    try:
        check()
    except SQLAlchemyError as error:
        # The reason goes to the log alone: it names hosts and users.
        current_app.logger.warning("not ready: %s: %s", name, error)
        return "down"
    return "ok"
