"""/readyz reports readiness quickly and without secrets."""

import socket
import time

UNAVAILABLE = {"status": "unavailable", "checks": {"database": "down"}}


def test_ready_with_a_migrated_database(client):
    """With a migrated database, the app is ready."""
    response = client.get("/readyz")
    assert (response.status_code, response.json) == (200, {"status": "ok", "checks": {"database": "ok"}})


def test_not_ready_before_the_migrations(make_app, tmp_path):
    """With a database without tables, the app is not ready, because every request would fail."""
    response = make_app(f"sqlite:///{tmp_path}/empty.db").test_client().get("/readyz")
    assert (response.status_code, response.json) == (503, UNAVAILABLE)


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
