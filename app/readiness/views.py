"""`GET /readyz`: reports whether the app can serve requests. Health checks and load balancers use it."""

from collections.abc import Callable

from flask import Blueprint, current_app
from sqlalchemy import NullPool, create_engine, text
from sqlalchemy.exc import SQLAlchemyError

from app.database import configure_engine, db
from app.database_errors import is_wrong_schema
from app.readiness.schema import is_outdated

bp = Blueprint("readiness", __name__)


@bp.get("/readyz")
def readyz() -> tuple[dict, int, dict]:
    """Return 200 if all dependencies work, else 503, with the state of each dependency. Takes a few seconds at most."""
    results = {name: _run_check(name, check) for name, check in CHECKS.items()}
    is_ready = all(result == "ok" for result in results.values())
    body = {"status": "ok" if is_ready else "unavailable", "checks": results}
    return body, 200 if is_ready else 503, {"Cache-Control": "no-store"}


class NotMigrated(SQLAlchemyError):
    """The migrations of this release have not run."""


def check_database() -> None:
    """Raise SQLAlchemyError unless the database responds, and NotMigrated unless it is migrated.

    The check opens its own connection: an exhausted connection pool does not make the app unready.
    """
    connect_args = current_app.config["SQLALCHEMY_ENGINE_OPTIONS"].get("connect_args", {})
    engine = create_engine(db.engine.url, poolclass=NullPool, connect_args=connect_args)
    configure_engine(engine)
    with engine.connect() as connection:
        version = connection.scalar(text("SELECT version_num FROM alembic_version"))
    if version is None or is_outdated(version):
        raise NotMigrated(f"the schema has version {version}")


# Name → function that raises SQLAlchemyError if the dependency is down.
CHECKS: dict[str, Callable[[], None]] = {"database": check_database}


def _run_check(name: str, check: Callable[[], None]) -> str:
    try:
        check()
    except SQLAlchemyError as error:
        # The response does not include the reason, because it contains host and user names.
        current_app.logger.warning("not ready: %s: %s", name, error)
        return "not migrated" if isinstance(error, NotMigrated) or is_wrong_schema(error) else "down"
    return "ok"
