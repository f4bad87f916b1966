"""/readyz reports readiness quickly and without secrets."""

import socket
import time

from flask_migrate import upgrade
from sqlalchemy import text

from app.database import db

NOT_MIGRATED = {"status": "unavailable", "checks": {"database": "not migrated"}}
UNAVAILABLE = {"status": "unavailable", "checks": {"database": "down"}}


def test_ready_with_a_migrated_database(client):
    """With a migrated database, the app is ready."""
    response = client.get("/readyz")
    assert (response.status_code, response.json) == (200, {"status": "ok", "checks": {"database": "ok"}})


def test_not_ready_before_the_migrations(make_app, empty_database):
    """With a database without tables, or of an older release, the app is not ready, and says why."""
    app = make_app(empty_database)
    for revision in (None, "0001", "0003"):
        if revision:
            with app.app_context():
                upgrade(revision=revision)
        response = app.test_client().get("/readyz")
        assert (response.status_code, response.json) == (503, NOT_MIGRATED)


def test_ready_after_a_rollback(make_app, empty_database):
    """With the schema of a newer release, which this release was rolled back from, the app is ready."""
    app = make_app(empty_database)
    with app.app_context():
        upgrade()
        with db.engine.begin() as connection:
            connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    assert app.test_client().get("/readyz").status_code == 200


def test_not_ready_without_a_database_server(make_app):
    """If PostgreSQL is unreachable, only the name of the dependency is reported."""
    app = make_app("postgresql+psycopg://user:hunter2@127.0.0.1:1/x")
    response = app.test_client().get("/readyz")
    assert (response.status_code, response.json) == (503, UNAVAILABLE)


def test_not_ready_while_the_database_server_hangs(make_app, caplog):
    """If PostgreSQL accepts connections but does not respond, the check fails after about 2 seconds."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        app = make_app(f"postgresql+psycopg://user:hunter2@127.0.0.1:{silent.getsockname()[1]}/x")
        started = time.monotonic()
        response = app.test_client().get("/readyz")
    assert (response.status_code, response.json) == (503, UNAVAILABLE)
    assert time.monotonic() - started < 3
    assert "not ready: database" in caplog.text
    assert "hunter2" not in caplog.text
