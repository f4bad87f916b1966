"""Shared fixtures: an app on SQLite and on PostgreSQL, clients, users, and real PostgreSQL and Redis servers.

A test that uses `database`, which most fixtures do, runs once on each database. Tests of one database choose it with
helpers.only_sqlite or helpers.only_postgresql.
"""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis
from flask import Flask
from flask.testing import FlaskClient
from flask_migrate import upgrade
from flask_security import hash_password
from jinja2 import FileSystemBytecodeCache
from sqlalchemy import insert, text
from werkzeug.test import TestResponse

from app import create_app
from app.account.models import ApiToken, User
from app.admin.actions import make_admin
from app.blog.models import Post
from app.config import database_url
from app.database import db, utc_now
from app.extensions import security
from app.migrations import migrate
from tests.unit.app.helpers import DATABASES, PASSWORD, csrf_token, log_in

# The parameters of production would take most of the test time.
CHEAP_ARGON2 = {"argon2__memory_cost": 8, "argon2__time_cost": 1, "argon2__parallelism": 1}


@pytest.fixture
def make_app(new_app: Callable[..., Flask], tmp_path: Path) -> Iterator[Callable[..., Flask]]:
    """Return a function that creates an app for a database URL. Its connections are closed after the test."""
    apps = []

    def make(url: str, **overrides) -> Flask:
        apps.append(new_app(url, **{"MAIL_FOLDER": tmp_path / "mail"} | overrides))
        return apps[-1]

    yield make
    for app in apps:
        _dispose(app)


@pytest.fixture(scope="session")
def new_app(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Flask]:
    """Return a function that creates an app for a database URL."""
    # Without a cache, each app would compile the templates again, which takes longer than most tests.
    templates = FileSystemBytecodeCache(tmp_path_factory.mktemp("templates"))

    def new(url: str, **overrides) -> Flask:
        settings = {
            "TESTING": True,
            "SECRET_KEY": "only for tests",
            "SQLALCHEMY_DATABASE_URI": url,
            "SECURITY_PASSWORD_HASH_PASSLIB_OPTIONS": CHEAP_ARGON2,
        }
        app = create_app(settings | overrides)
        migrate.init_app(app)
        app.jinja_env.bytecode_cache = templates
        return app

    return new


@dataclass(frozen=True)
class SharedApp:
    """An app on a migrated database, made once per process: a new app and its first page take longer than most tests.

    Flask-Security keeps its state in a global object, where the app that was made last replaces it.
    """

    app: Flask
    config: dict[str, Any]
    security: dict[str, Any]

    @classmethod
    def on(cls, app: Flask) -> "SharedApp":
        """Migrate the database of a new app."""
        with app.app_context():
            upgrade()
        return cls(app, dict(app.config), dict(vars(security)))

    def reset(self, **overrides) -> Flask:
        """Delete all rows, and restore the configuration."""
        for state, original in ((self.app.config, self.config | overrides), (vars(security), self.security)):
            state.clear()
            state.update(original)
        with self.app.app_context(), db.engine.begin() as connection:
            for table in reversed(db.metadata.sorted_tables):
                connection.execute(table.delete())
            if connection.dialect.name == "postgresql":  # SQLite reuses the ids of deleted rows
                connection.execute(text("SELECT setval(sequencename::regclass, 1, false) FROM pg_sequences"))
        return self.app


@pytest.fixture(scope="session")
def sqlite_app(new_app: Callable[..., Flask], tmp_path_factory: pytest.TempPathFactory) -> SharedApp:
    """Return the shared app on SQLite."""
    return SharedApp.on(new_app(f"sqlite:///{tmp_path_factory.mktemp('sqlite')}/app.db"))


@pytest.fixture(scope="session")
def postgresql_app(new_app: Callable[..., Flask], postgresql: str) -> SharedApp:
    """Return the shared app on PostgreSQL."""
    _run_sql(postgresql, "CREATE DATABASE shared")
    return SharedApp.on(new_app(database_url(postgresql.replace("/postgres?", "/shared?"))))


@pytest.fixture(params=DATABASES)
def app(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Flask]:
    """Return an app on an empty database: SQLite, then PostgreSQL. Views can only be added to apps of `make_app`."""
    app = request.getfixturevalue(f"{request.param}_app").reset(MAIL_FOLDER=tmp_path / "mail")
    yield app
    _dispose(app)


@pytest.fixture
def database(app: Flask) -> str:
    """Return the URL of the database of `app`, for tests that make an app with other settings."""
    return app.config["SQLALCHEMY_DATABASE_URI"]


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """Return a test client of `app`."""
    return app.test_client()


@pytest.fixture
def add_user(app: Flask) -> Callable[..., int]:
    """Return a function that adds a user with the email address NAME@example.com and returns the user's id."""

    def add(name: str, admin: bool = False, **columns) -> int:
        with app.app_context():
            password = {"password": hash_password(PASSWORD)}
            user = security.datastore.create_user(email=f"{name}@example.com", username=name, **password | columns)
            if admin:
                make_admin(user)
            db.session.commit()
            return user.id

    return add


@pytest.fixture
def log_in_as(app: Flask, add_user: Callable[..., int]) -> Callable[..., FlaskClient]:
    """Return a function that adds a user and returns a test client that is logged in as this user."""

    def log_in_as(name: str, **options) -> FlaskClient:
        add_user(name, **options)
        client = app.test_client()
        assert log_in(client, f"{name}@example.com").status_code == 302
        return client

    return log_in_as


@pytest.fixture
def publish(log_in_as: Callable[..., FlaskClient]) -> Callable:
    """Return a function that submits the form for a post (text or raw form bytes) as the user `writer`."""
    writer = log_in_as("writer")

    def send(body: str | bytes, **options) -> TestResponse:
        token = csrf_token(writer, "/")
        if isinstance(body, str):
            return writer.post("/", data={"csrf_token": token, "body": body}, **options)
        form = b"csrf_token=" + token.encode() + b"&body=" + body
        return writer.post("/", data=form, content_type="application/x-www-form-urlencoded")

    return send


@pytest.fixture
def add_posts(app: Flask, add_user: Callable[..., int]) -> Callable[..., None]:
    """Return a function that adds `count` posts by a new user: "post 1", "post 2", …"""

    def add(count: int, name: str = "author") -> None:
        author_id = add_user(name)
        with app.app_context():
            numbers = range(1, count + 1)
            rows = [{"body": f"post {n}", "author_id": author_id, "created_at": utc_now()} for n in numbers]
            db.session.execute(insert(Post), rows)
            db.session.commit()

    return add


@pytest.fixture
def mails(app: Flask) -> Callable[[], list[EmailMessage]]:
    """Return a function that returns the mails that were sent since its last call."""
    folder = Path(app.config["MAIL_FOLDER"])

    def take() -> list[EmailMessage]:
        files = sorted(folder.glob("*.eml"), key=lambda file: file.stat().st_mtime_ns)
        found = [message_from_bytes(file.read_bytes(), policy=default) for file in files]
        for file in files:
            file.unlink()
        return found

    return take


@pytest.fixture
def add_api_user(app: Flask) -> Callable[..., dict[str, str]]:
    """Return a function that adds a user and returns the API headers that authenticate this user."""

    def make(username: str, within: Flask = app, **more) -> dict[str, str]:
        with within.app_context():
            user = User(
                username=username,
                email=f"{username}@example.com",
                password=hash_password(PASSWORD),
                fs_uniquifier=username,
                **more,
            )
            db.session.add(user)
            db.session.flush()
            _, plain_text = ApiToken.issue(user, "tests")
            db.session.commit()
        return {"Authorization": f"Bearer {plain_text}"}

    return make


@pytest.fixture
def alice(add_api_user: Callable[..., dict[str, str]]) -> dict[str, str]:
    """Return the API headers of the user alice."""
    return add_api_user("alice")


@pytest.fixture
def bob(add_api_user: Callable[..., dict[str, str]]) -> dict[str, str]:
    """Return the API headers of the user bob."""
    return add_api_user("bob")


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """Start a PostgreSQL server that listens only on a Unix socket, and return its URL."""
    programs = _postgresql_programs()
    # Not pytest's own folder: other users cannot read it, and its path is too long for a socket.
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
def redis_url(redis_socket: str) -> str:
    """Return the URL of an empty Redis server."""
    redis.Redis(unix_socket_path=redis_socket).flushall()
    return f"redis+unix://{redis_socket}"


@pytest.fixture(scope="session")
def redis_socket() -> Iterator[str]:
    """Start a Redis server that listens only on a Unix socket, and return the path of the socket."""
    with tempfile.TemporaryDirectory(prefix="redis-") as folder:
        command = ["redis-server", "--port", "0", "--unixsocket", f"{folder}/s", "--save", "", "--dir", folder]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as server:
            _await_redis(f"{folder}/s")
            yield f"{folder}/s"
            server.terminate()


def _await_redis(socket: str) -> None:
    for _ in range(200):
        try:
            redis.Redis(unix_socket_path=socket).ping()
            return
        except redis.ConnectionError:
            time.sleep(0.05)
    pytest.fail("redis-server did not respond within 10 s.")


@pytest.fixture
def postgresql_url(postgresql: str) -> str:
    """Return the URL, with the driver, of a PostgreSQL database without tables."""
    _run_sql(postgresql, "DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    return database_url(postgresql)


@pytest.fixture(params=DATABASES)
def empty_database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the URL of a database without tables. Tests that use it run on SQLite and on PostgreSQL."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/empty.db"
    return request.getfixturevalue("postgresql_url")


def _run_sql(url: str, statements: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statements)


def _postgresql_programs() -> Path:
    found = Path("/usr/lib/postgresql").glob("*/bin")
    newest = max(found, key=lambda folder: int(folder.parent.name), default=None)
    if newest is None:
        pytest.fail("There is no PostgreSQL server in /usr/lib/postgresql. Run: apt-get install postgresql")
    return newest


def _dispose(app: Flask) -> None:
    with app.app_context():
        db.session.remove()
        db.engine.dispose()
