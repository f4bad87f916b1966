"""The database: SQLite's pragmas and transactions, PostgreSQL's timeouts, and migrations on both."""

import multiprocessing
import os
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing, suppress
from datetime import datetime, timezone
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest
from alembic import op
from flask_migrate import check, downgrade, upgrade
from sqlalchemy import MetaData, Table, inspect, text
from sqlalchemy.exc import IntegrityError

from app.account.models import User
from app.blog.models import Follow, Post
from app.config import database_url
from app.database import SQLITE_PRAGMAS, db
from tests.support.ports import free_port
from tests.support.wsgi import CLEAN, python
from tests.unit.app.helpers import only_postgresql, only_sqlite


def tables() -> set[str]:
    return set(inspect(db.engine).get_table_names()) - {"alembic_version"}


def test_upgrade_and_downgrade(make_app, empty_database):
    """The upgrade creates the tables that the models describe. The downgrade drops them again."""
    with make_app(empty_database).app_context():
        upgrade()
        assert tables() == set(db.metadata.tables)
        check()  # exits when the models and the tables differ
        downgrade(revision="base")
        assert tables() == set()
        upgrade()
        assert tables() == set(db.metadata.tables)


def test_release_command(make_app, empty_database):
    """The release command migrates like `flask db upgrade`, is idempotent, and imports only a small part of the app."""
    release = [sys.executable, "-X", "importtime", "-m", "app.migrations"]
    for expected in ("Running upgrade", ""):
        done = subprocess.run(release, env=CLEAN | {"DATABASE_URL": empty_database}, capture_output=True, text=True)
        assert done.returncode == 0 and expected in done.stderr, done.stderr[-2000:]
    assert "Running upgrade" not in done.stderr
    for module in ("flask_security", "apiflask", "app.blog"):
        assert f" {module}\n" not in done.stderr
    with make_app(empty_database).app_context():
        check()


def test_server_does_not_import_alembic():
    """WSGI servers do not migrate, so they do not import Alembic."""
    done = python("import sys, app.wsgi; print('alembic' in sys.modules)", SECRET_KEY="only for tests")
    assert done.stdout == "False\n", done.stderr


def test_replicas_migrate_one_at_a_time(make_app, empty_database):
    """Of four replicas that start at the same time, one migrates, and all succeed."""

    def migrate():
        with make_app(empty_database).app_context():
            upgrade()

    # Processes, because Alembic keeps its state in global variables. Forked, because the app is imported already.
    replicas = [multiprocessing.get_context("fork").Process(target=migrate) for _ in range(4)]
    run_together(replicas)
    assert [replica.exitcode for replica in replicas] == [0, 0, 0, 0]
    with make_app(empty_database).app_context():
        assert tables() == set(db.metadata.tables)


def test_failed_migration_is_rolled_back(make_app, empty_database, monkeypatch):
    """A migration that fails is rolled back completely, so that it can run again after it was repaired."""
    monkeypatch.setattr("alembic.op.create_index", lambda *arguments: 1 / 0)
    with make_app(empty_database).app_context():
        with pytest.raises(ZeroDivisionError):
            upgrade()
        assert tables() == set()
        monkeypatch.undo()
        upgrade()
        assert tables() == set(db.metadata.tables)


def test_foreign_keys_are_off_during_migrations(make_app, tmp_path, monkeypatch):
    """SQLite migrates with foreign keys off: it alters a table by dropping it, which would delete referring rows."""
    states = []
    create_table = op.create_table

    def record_state(*arguments, **options):
        states.append(op.get_bind().exec_driver_sql("PRAGMA foreign_keys").scalar())
        return create_table(*arguments, **options)

    monkeypatch.setattr("alembic.op.create_table", record_state)
    with make_app(f"sqlite:///{tmp_path}/app.db").app_context():
        upgrade()
        assert set(states) == {0}
        assert db.session.execute(text("PRAGMA foreign_keys")).scalar() == 1


def test_long_migration_is_not_canceled(make_app, postgresql_url, monkeypatch):
    """On PostgreSQL, the timeouts for requests do not apply to the statements and locks of a migration."""
    options = {"connect_args": {"options": "-c statement_timeout=200 -c lock_timeout=200"}}
    app = make_app(postgresql_url, SQLALCHEMY_ENGINE_OPTIONS=options)
    create_table = op.create_table

    def create_slowly(*arguments, **named):
        op.get_bind().exec_driver_sql("SELECT pg_sleep(0.5)")
        return create_table(*arguments, **named)

    monkeypatch.setattr("alembic.op.create_table", create_slowly)
    with app.app_context():
        upgrade(revision="0001")
        monkeypatch.undo()
        reader = db.engine.connect()
        reader.execute(text("SELECT * FROM post"))  # holds a lock on the table
        threading.Timer(0.5, reader.close).start()
        upgrade()
        check()


def test_migration_waits_for_a_long_transaction(make_app, tmp_path, monkeypatch):
    """On SQLite, a migration waits longer for the write lock than requests do."""
    pragmas = [pragma.replace("busy_timeout = 1800", "busy_timeout = 100") for pragma in SQLITE_PRAGMAS]
    monkeypatch.setattr("app.database.SQLITE_PRAGMAS", pragmas)
    with make_app(f"sqlite:///{tmp_path}/app.db").app_context():
        writer = db.engine.connect()
        writer.begin()
        threading.Timer(0.5, writer.invalidate).start()
        upgrade()
        check()


def test_posts_survive_the_migration_to_accounts(make_app, empty_database):
    """Posts from before the accounts get an author who cannot log in. They survive a downgrade and an upgrade."""
    old = {"body": "old", "created_at": datetime(2026, 1, 1, tzinfo=timezone.utc)}
    app = make_app(empty_database)
    with app.app_context():
        upgrade(revision="0001")
        with db.engine.begin() as connection:
            table = Table("post", MetaData(), autoload_with=connection)
            connection.execute(table.insert().values(old))
        for _ in range(2):
            upgrade()
            (post,) = Post.timeline().items
            assert (post.body, post.created_at) == (old["body"], old["created_at"])
            assert (post.author.username, post.author.active, post.author.password) == ("anonymous", False, None)
            db.session.remove()
            downgrade(revision="0001")


def test_migration_of_an_empty_database_adds_no_user(make_app, empty_database):
    """Without posts, the migration creates no account."""
    with make_app(empty_database).app_context():
        upgrade()
        assert db.session.query(User).count() == 0


@pytest.mark.parametrize(
    ("row", "constraint"),
    [
        (lambda ann: Post(body="", author_id=ann.id), "ck_post_body_length"),
        (lambda ann: Post(body="x" * 501, author_id=ann.id), "ck_post_body_length"),
        (lambda ann: Post(body="x", author_id=999), "fk_post_author_id|FOREIGN KEY"),
        (lambda ann: Post(body="x"), "NOT NULL|not-null"),
        (lambda ann: Follow(follower_id=ann.id, followed_id=ann.id), "ck_follow_not_oneself"),
        (lambda ann: make_user("an"), "ck_account_username_length"),
        (lambda ann: make_user("Bob", email="b@example.com"), "ck_account_username_lower"),
        (lambda ann: make_user("bob", email="Bob@example.com"), "ck_account_email_lower"),
        (lambda ann: make_user("ann", email="b@example.com"), "uq_account_username|UNIQUE"),
        (lambda ann: make_user("bob", email="ann@example.com"), "uq_account_email|UNIQUE"),
    ],
)
def test_constraints(app, row, constraint):
    """The rules of the app are also constraints of the database."""
    with app.app_context():
        ann = make_user("ann")
        db.session.add(ann)
        db.session.commit()
        db.session.add(row(ann))
        with pytest.raises(IntegrityError, match=constraint):
            db.session.commit()
        db.session.rollback()


def make_user(name: str, email: str | None = None) -> User:
    return User(username=name, email=email or f"{name}@example.com", fs_uniquifier=name)


@only_sqlite
def test_sqlite_pragmas(app):
    """Every SQLite connection uses WAL, full synchronization, a busy timeout below 2 s, and foreign keys."""
    expected = {"journal_mode": "wal", "synchronous": 2, "busy_timeout": 1800, "foreign_keys": 1}
    with app.app_context():
        actual = {name: db.session.execute(text(f"PRAGMA {name}")).scalar() for name in expected}
    assert actual == expected


@only_sqlite
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_safe_requests_do_not_wait_for_writers(app, method):
    """A request with a safe method reads while another transaction holds the write lock."""
    with app.app_context(), db.engine.begin():  # outside of a request, a transaction takes the write lock
        assert app.test_client().open("/", method=method).status_code == 200


@only_sqlite
def test_unsafe_requests_take_the_write_lock_immediately(app):
    """A request with an unsafe method takes the write lock before it reads, so nothing else can write in between."""
    with app.test_request_context(method="POST"):
        db.session.execute(text("SELECT body FROM post"))
        with closing(sqlite3.connect(db.engine.url.database, timeout=0)) as other:
            with pytest.raises(sqlite3.OperationalError, match="locked"):
                other.execute("DELETE FROM post")


@only_sqlite
def test_concurrent_updates(make_app, database, monkeypatch):
    """Eight threads that read and then write the same row lose no update and get no lock error."""
    # A deferred transaction would fail immediately. The longer timeout allows for a slow disk.
    monkeypatch.setattr("app.database.SQLITE_PRAGMAS", (*SQLITE_PRAGMAS, "PRAGMA busy_timeout = 60000"))
    app = make_app(database, WTF_CSRF_ENABLED=False)
    with app.app_context():
        ann = make_user("ann")
        db.session.add(ann)
        db.session.flush()
        db.session.add(Post(body="0", author_id=ann.id))
        db.session.commit()

    def count_up():
        post = db.session.get(Post, 1)
        time.sleep(0.001)  # between reading and writing, where a deferred transaction would lose updates
        post.body = str(int(post.body) + 1)
        db.session.commit()
        return {}

    app.add_url_rule("/count", view_func=count_up, methods=["POST"])
    statuses = []

    def work():
        statuses.extend(app.test_client().post("/count").status_code for _ in range(10))

    run_together([threading.Thread(target=work) for _ in range(8)])
    assert statuses == [200] * 80
    with app.app_context():
        assert db.session.get(Post, 1).body == "80"


@only_postgresql
def test_postgresql_statement_timeout(app):
    """Statements are canceled before the request timeout."""
    with app.app_context():
        assert db.session.execute(text("SHOW statement_timeout")).scalar() == "8s"


@only_postgresql
def test_postgresql_restart(app):
    """A broken connection in the pool is replaced without an error."""
    pid = text("SELECT pg_backend_pid()")
    with app.app_context():
        lost = db.session.execute(pid).scalar()
        db.session.rollback()  # returns the connection to the pool
        with closing(psycopg.connect(db.engine.url.set(drivername="postgresql").render_as_string())) as killer:
            killer.execute("SELECT pg_terminate_backend(%s)", [lost])
        assert db.session.execute(pid).scalar() != lost


def run_together(tasks) -> None:
    """Start all threads or processes, then wait for all of them."""
    for task in tasks:
        task.start()
    for task in tasks:
        task.join()


@pytest.mark.needs("pgbouncer")
def test_pooler_in_transaction_mode(make_app, postgresql, postgresql_url, tmp_path):
    """The app works through PgBouncer in transaction mode, and its statements in requests have the same timeout."""
    folder = Path(parse_qs(urlsplit(postgresql).query)["host"][0])
    port, configuration = free_port(), folder / "pgbouncer.ini"
    configuration.write_text(
        f"[databases]\n* = host={folder} user=tripod\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n"
        "unix_socket_dir =\nauth_type = any\npool_mode = transaction\ndefault_pool_size = 2\n"
    )
    user = ["-u", "nobody"] if os.geteuid() == 0 else []
    with subprocess.Popen(["pgbouncer", "-q", *user, configuration], stderr=subprocess.DEVNULL) as pooler:
        try:
            app = make_app(database_url(f"postgresql://tripod@127.0.0.1:{port}/postgres"))
            deadline = time.monotonic() + 10
            while pooler.poll() is None:
                with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                    break
                assert time.monotonic() < deadline
            with app.app_context():
                upgrade()
            for _ in range(20):  # psycopg prepares a statement when it is executed for the sixth time
                with app.test_request_context():
                    assert db.session.execute(text("SHOW statement_timeout")).scalar() == "8s"
                assert app.test_client().get("/").status_code == 200
        finally:
            pooler.kill()  # SIGTERM: PgBouncer 1.23 and newer wait until all clients have disconnected
