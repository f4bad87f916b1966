"""What the unit tests share: an app on a migrated database, a client, and a real PostgreSQL server."""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from flask_migrate import upgrade

from app import create_app
from app.config import database_url
from app.extensions import db


@pytest.fixture
def make_app() -> Iterator[Callable[..., Flask]]:
    """Return a function that makes an app for a database URL; its connections are closed after the test."""
    apps = []

    def make(url: str, **overrides) -> Flask:
        settings = {"TESTING": True, "SECRET_KEY": "only for tests", "SQLALCHEMY_DATABASE_URI": url}
        apps.append(create_app(settings | overrides))
        return apps[-1]

    yield make
    for app in apps:
        _dispose(app)


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a SQLite file that the real migrations have made, to be copied: migrating takes its time."""
    file = tmp_path_factory.mktemp("migrated") / "app.db"
    app = create_app({"TESTING": True, "SQLALCHEMY_DATABASE_URI": f"sqlite:///{file}"})
    with app.app_context():
        upgrade()
    _dispose(app)
    return file


@pytest.fixture
def sqlite_url(migrated: Path, tmp_path: Path) -> str:
    """Return the URL of a migrated SQLite database of this test's own."""
    return f"sqlite:///{shutil.copy(migrated, tmp_path)}"


@pytest.fixture
def app(make_app: Callable[..., Flask], sqlite_url: str) -> Flask:
    """Return an app on an empty SQLite database."""
    return make_app(sqlite_url)


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """Return a browser's stand-in for `app`."""
    return app.test_client()


@pytest.fixture
def publish(client: FlaskClient) -> Callable:
    """Return a function that fills in the form with a body (text or raw form bytes) and sends it."""

    def send(body: str | bytes, **options):
        token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', client.get("/").text)[1]
        if isinstance(body, str):
            return client.post("/", data={"csrf_token": token, "body": body}, **options)
        form = b"csrf_token=" + token.encode() + b"&body=" + body
        return client.post("/", data=form, content_type="application/x-www-form-urlencoded")

    return send


@pytest.fixture
def add_posts(app: Flask) -> Callable[[int], None]:
    """Return a function that adds so many posts by the API: "post 1", "post 2", …"""

    def add(count: int) -> None:
        for number in range(1, count + 1):
            response = app.test_client().post("/api/v1/posts", json={"body": f"post {number}"})
            assert response.status_code == 201

    return add


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """Start a PostgreSQL server of our own, on a Unix socket alone, and return its URL."""
    programs = _postgresql_programs()
    # Not pytest's own folder: that is closed to others, and its path is too long for a socket.
    with tempfile.TemporaryDirectory(prefix="pg-") as folder:
        # PostgreSQL refuses to run as root.
        user = "nobody" if os.geteuid() == 0 else None
        if user:
            shutil.chown(folder, user)

        def run(program: str, *arguments: str) -> None:
            command = [programs / program, "-D", f"{folder}/data", *arguments]
            subprocess.run(command, check=True, cwd=folder, user=user, stdout=subprocess.DEVNULL)

        run("initdb", "--username=tripod", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync")
        run("pg_ctl", "start", "--wait", "-l", f"{folder}/log", "-o", f"-k {folder} -h '' -c fsync=off")
        try:
            yield f"postgres://tripod@/postgres?host={folder}"
        finally:
            run("pg_ctl", "stop", "--wait", "-m", "immediate")


@pytest.fixture
def postgresql_url(postgresql: str, make_app: Callable[..., Flask]) -> str:
    """Return the URL of the PostgreSQL server, emptied; with the driver in it, as the app wants it."""
    url = database_url(postgresql)
    app = make_app(url)
    with app.app_context(), db.engine.begin() as connection:
        connection.exec_driver_sql("DROP SCHEMA public CASCADE")
        connection.exec_driver_sql("CREATE SCHEMA public")
    return url


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the URL of a database without tables: what uses it runs on SQLite and on PostgreSQL."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/empty.db"
    return request.getfixturevalue("postgresql_url")


def _postgresql_programs() -> Path:
    found = Path("/usr/lib/postgresql").glob("*/bin")
    newest = max(found, key=lambda folder: int(folder.parent.name), default=None)
    if newest is None:
        pytest.fail("No PostgreSQL server in /usr/lib/postgresql. Install one: apt-get install postgresql")
    return newest


def _dispose(app: Flask) -> None:
    with app.app_context():
        db.session.remove()
        db.engine.dispose()
