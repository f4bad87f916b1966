"""SQLite's settings and transactions, PostgreSQL's limits, and the migrations on both."""

import multiprocessing
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from datetime import datetime, timezone

import psycopg
import pytest
from alembic import op
from flask_migrate import check, downgrade, upgrade
from sqlalchemy import MetaData, Table, inspect, text
from sqlalchemy.exc import IntegrityError

from app import database
from app.account.models import User
from app.blog.models import Follow, Post
from app.database import db
from tests.support.wsgi import CLEAN, python
from tests.unit.app.web import PASSWORD, bodies, log_in, submit


def tables() -> set[str]:
    return set(inspect(db.engine).get_table_names()) - {"alembic_version"}


def test_migrations_go_up_and_down(make_app, empty_database):
    """The migrations make the tables that the models describe, and take them away again."""
    with make_app(empty_database).app_context():
        upgrade()
        assert tables() == set(db.metadata.tables)
        check()  # exits when the models and the tables differ
        downgrade(revision="base")
        assert tables() == set()
        upgrade()
        assert tables() == set(db.metadata.tables)


def test_release_command(make_app, empty_database):
    """The release command does what `flask db upgrade` does, a second time nothing, and loads little of the app."""
    release = [sys.executable, "-X", "importtime", "-m", "app.migrations"]
    for expected in ("Running upgrade", ""):
        done = subprocess.run(release, env=CLEAN | {"DATABASE_URL": empty_database}, capture_output=True, text=True)
        assert done.returncode == 0 and expected in done.stderr, done.stderr[-2000:]
    assert "Running upgrade" not in done.stderr
    assert [name for name in ("flask_security", "apiflask", "app.blog") if f" {name}\n" in done.stderr] == []
    with make_app(empty_database).app_context():
        check()


def test_server_does_without_alembic():
    """Migrations are for commands: a server would load them for nothing, at each start."""
    done = python("import sys, app.wsgi; print('alembic' in sys.modules)", SECRET_KEY="only for tests")
    assert done.stdout == "False\n", done.stderr


def test_replicas_migrate_one_at_a_time(make_app, empty_database):
    """Four replicas that start at once migrate once, and all of them succeed."""

    def migrate():
        with make_app(empty_database).app_context():
            upgrade()

    # Processes, for Alembic keeps its state in globals; forked, because the app is imported already.
    replicas = [multiprocessing.get_context("fork").Process(target=migrate) for _ in range(4)]
    run_together(replicas)
    assert [replica.exitcode for replica in replicas] == [0, 0, 0, 0]
    with make_app(empty_database).app_context():
        assert tables() == set(db.metadata.tables)


def test_a_failed_migration_leaves_nothing_behind(make_app, empty_database, monkeypatch):
    """A migration that fails half-way is undone, so that it can be run again once it is mended."""
    monkeypatch.setattr("alembic.op.create_index", lambda *arguments: 1 / 0)
    with make_app(empty_database).app_context():
        with pytest.raises(ZeroDivisionError):
            upgrade()
        assert tables() == set()
        monkeypatch.undo()
        upgrade()
        assert tables() == set(db.metadata.tables)


def test_altering_a_table_deletes_no_rows_elsewhere(make_app, tmp_path, monkeypatch):
    """While SQLite migrates, foreign keys are off: it alters a table by dropping it, and a drop cascades."""
    found = []
    create_table = op.create_table

    def look(*arguments, **options):
        found.append(op.get_bind().exec_driver_sql("PRAGMA foreign_keys").scalar())
        return create_table(*arguments, **options)

    monkeypatch.setattr("alembic.op.create_table", look)
    with make_app(f"sqlite:///{tmp_path}/app.db").app_context():
        upgrade()
        assert set(found) == {0}
        assert db.session.execute(text("PRAGMA foreign_keys")).scalar() == 1


def test_notes_outlive_the_migration_to_accounts(make_app, empty_database):
    """Notes from before there were accounts get an author who cannot log in; they survive the way down and up."""
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


def test_an_empty_database_gets_no_author(make_app, empty_database):
    """Without notes the migration makes no account: the first one is the first person's."""
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
        (lambda ann: person("an"), "ck_account_username_length"),
        (lambda ann: person("Bob", email="b@example.com"), "ck_account_username_lower"),
        (lambda ann: person("bob", email="Bob@example.com"), "ck_account_email_lower"),
        (lambda ann: person("ann", email="b@example.com"), "uq_account_username|UNIQUE"),
        (lambda ann: person("bob", email="ann@example.com"), "uq_account_email|UNIQUE"),
    ],
)
def test_the_database_refuses_what_the_app_would(make_app, empty_database, row, constraint):
    """What the app checks is a constraint of the database too."""
    with make_app(empty_database).app_context():
        upgrade()
        ann = person("ann")
        db.session.add(ann)
        db.session.commit()
        db.session.add(row(ann))
        with pytest.raises(IntegrityError, match=constraint):
            db.session.commit()
        db.session.rollback()


def person(name: str, email: str | None = None) -> User:
    return User(username=name, email=email or f"{name}@example.com", fs_uniquifier=name)


def test_the_app_works_on_either_database(make_app, empty_database):
    """Joining, logging in, writing, following, searching and locking work on either database."""
    app = make_app(empty_database)
    with app.app_context():
        upgrade()
        db.session.add(person("bob"))
        db.session.commit()
    client = app.test_client()
    fields = {"username": "ann", "email": "ann@example.com", "password": PASSWORD, "password_confirm": PASSWORD}
    submit(client, "/register", **fields)
    log_in(client, "ann@example.com", "wrong")
    assert log_in(client, "ann@example.com").location == "/"
    submit(client, "/", body="é 👋\n\tx")
    submit(client, "/posts/1/edit", body="É 100% 👋")
    for _ in range(2):
        submit(client, "/users/bob/follow", "/users/bob")
    for path in ("/", "/following", "/search?q=100%25", "/users/ann", f"/?before={2**31 - 1}"):
        assert bodies(client.get(path)) == ["É 100% 👋"]
    assert "1 follower " in client.get("/users/bob").text
    submit(client, "/users/bob/unfollow", "/users/bob")
    submit(client, "/account/tokens", name="x")
    result = app.test_cli_runner().invoke(args=["admin", "ann@example.com"])
    assert result.exit_code == 0, result.output
    for path in ("/admin", "/admin/users?q=AN", "/admin/posts?q=x"):
        assert client.get(path).status_code == 200
    submit(client, "/admin/posts/1/hide", "/admin/posts/1")
    assert bodies(client.get("/")) == []
    assert client.get("/readyz").status_code == 200


def test_sqlite_is_set_up_for_production(app):
    """Every SQLite connection has WAL, full synchronisation, less than 2 s of patience and foreign keys."""
    expected = {"journal_mode": "wal", "synchronous": 2, "busy_timeout": 1800, "foreign_keys": 1}
    with app.app_context():
        found = {name: db.session.execute(text(f"PRAGMA {name}")).scalar() for name in expected}
    assert found == expected


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_safe_request_reads_while_another_writes(app, method):
    """A request that only reads waits for no writer."""
    with app.app_context(), db.engine.begin():  # outside of a request: this holds the write lock
        assert app.test_client().open("/", method=method).status_code == 200


def test_an_unsafe_request_takes_the_write_lock_at_once(app):
    """A request that may write has the lock before it reads, so nobody can write in between."""
    with app.test_request_context(method="POST"):
        db.session.execute(text("SELECT body FROM post"))
        with closing(sqlite3.connect(db.engine.url.database, timeout=0)) as other:
            with pytest.raises(sqlite3.OperationalError, match="locked"):
                other.execute("DELETE FROM post")


def test_reading_and_then_writing_never_fails_for_the_lock(app, monkeypatch):
    """Eight threads that read and then write the same row lose no update and meet no locked database."""
    # A deferred transaction would be refused at once. Who waits may wait here, for as long as a busy disk needs.
    monkeypatch.setattr(database, "SQLITE", (*database.SQLITE, "PRAGMA busy_timeout = 60000"))
    with app.app_context():
        db.engine.dispose()
        ann = person("ann")
        db.session.add(ann)
        db.session.flush()
        db.session.add(Post(body="0", author_id=ann.id))
        db.session.commit()

    def count_up():
        post = db.session.get(Post, 1)
        time.sleep(0.001)  # between reading and writing: here a deferred transaction would lose
        post.body = str(int(post.body) + 1)
        db.session.commit()
        return {}

    app.add_url_rule("/count", view_func=count_up, methods=["POST"])
    app.config["WTF_CSRF_ENABLED"] = False
    statuses = []

    def work():
        statuses.extend(app.test_client().post("/count").status_code for _ in range(10))

    run_together([threading.Thread(target=work) for _ in range(8)])
    assert statuses == [200] * 80
    with app.app_context():
        assert db.session.get(Post, 1).body == "80"


def test_postgresql_gives_up_on_endless_statements(make_app, postgresql_url):
    """No statement may run for longer than a request may."""
    with make_app(postgresql_url).app_context():
        assert db.session.execute(text("SHOW statement_timeout")).scalar() == "8s"


def test_postgresql_may_restart(make_app, postgresql_url):
    """A connection that died in the pool is replaced, and no request notices."""
    pid = text("SELECT pg_backend_pid()")
    with make_app(postgresql_url).app_context():
        lost = db.session.execute(pid).scalar()
        db.session.rollback()  # gives the connection back to the pool
        with closing(psycopg.connect(db.engine.url.set(drivername="postgresql").render_as_string())) as killer:
            killer.execute("SELECT pg_terminate_backend(%s)", [lost])
        assert db.session.execute(pid).scalar() != lost


def run_together(tasks) -> None:
    """Start all threads or processes, then wait for all."""
    for task in tasks:
        task.start()
    for task in tasks:
        task.join()
