"""How migrations run: in turns, without making requests wait for locks, and each in a transaction of its own."""

import multiprocessing
import shutil
import threading
import time
from pathlib import Path

import psycopg
import pytest
from alembic import command
from flask_migrate import upgrade
from sqlalchemy import inspect, text

from app.database import db
from app.migrations import locks
from app.migrations.locks import MigrationError
from tests.unit.app.helpers import DATABASES

MIGRATIONS = Path(locks.__file__).parent
HEAD = max(path.name[:4] for path in (MIGRATIONS / "versions").glob("0*.py"))
on_postgresql = pytest.mark.parametrize("empty_database", [DATABASES[1]], indirect=True)
on_sqlite = pytest.mark.parametrize("empty_database", [DATABASES[0]], indirect=True)

ADD_COLUMN = 'op.add_column("post", sa.Column("language", sa.String(10)))'
CREATE_INDEX = (
    "with op.get_context().autocommit_block():",
    '    op.create_index("ix_body", "post", ["body"], postgresql_concurrently=True)',
)


@pytest.fixture
def site(make_app, empty_database, tmp_path, monkeypatch):
    """Return an app on a migrated database, whose folder of migrations is a copy."""
    monkeypatch.setattr(locks, "RETRY_INTERVAL", 0.3)
    app = make_app(empty_database, PROPAGATE_EXCEPTIONS=False)
    shutil.copytree(MIGRATIONS, tmp_path / "migrations")
    app.extensions["migrate"].directory = str(tmp_path / "migrations")
    with app.app_context():
        upgrade()
    return app


@pytest.fixture
def add_migration(site):
    """Return a function that adds a migration, which follows the newest one, with the statements of `upgrade()`."""
    newest = [HEAD]

    def add(*statements: str) -> None:
        revision = f"{int(newest[-1]) + 1:04}"
        lines = [
            '"""test"""',
            "import sqlalchemy as sa",
            "from alembic import op",
            f"revision, down_revision = {revision!r}, {newest[-1]!r}",
            "def upgrade():",
            *(f"    {statement}" for statement in statements),
        ]
        path = Path(site.extensions["migrate"].directory) / "versions" / f"{revision}_test.py"
        path.write_text("\n".join(lines))
        newest.append(revision)

    return add


def migrate(app) -> None:
    """Migrate like `flask db upgrade`, which would turn a MigrationError into a message and exit."""
    with app.app_context():
        settings = app.extensions["migrate"]
        command.upgrade(settings.migrate.get_config(settings.directory), "head")


def columns(app, table: str) -> set[str]:
    with app.app_context():
        return {column["name"] for column in inspect(db.engine).get_columns(table)}


def postgresql_url(app) -> str:
    with app.app_context():
        return db.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)


@on_postgresql
@pytest.mark.parametrize("isolation", ["READ COMMITTED", "REPEATABLE READ"])
def test_no_request_fails_while_a_migration_waits_for_a_reader(site, add_migration, isolation):
    """Beside an idle psql (READ COMMITTED) or a backup (REPEATABLE READ), a migration waits and no request fails."""
    add_migration(ADD_COLUMN)
    client, statuses, slowest = site.test_client(), [], 0
    migration = threading.Thread(target=migrate, args=(site,))
    with psycopg.connect(postgresql_url(site)) as reader:
        reader.execute(f"SET TRANSACTION ISOLATION LEVEL {isolation}")
        reader.execute("SELECT * FROM post")
        migration.start()
        end = time.monotonic() + 3
        while time.monotonic() < end:
            start = time.monotonic()
            statuses.append(client.get("/").status_code)
            slowest = max(slowest, time.monotonic() - start)
        assert migration.is_alive() and "language" not in columns(site, "post")
    migration.join(20)
    assert set(statuses) == {200}
    assert 0.2 < slowest < 1.5  # it did wait behind the migration
    assert "language" in columns(site, "post")


@on_postgresql
def test_migration_that_gets_no_lock_names_the_holder(site, add_migration, monkeypatch):
    """A migration that does not get its lock is rolled back. The error names the transaction that is in the way."""
    monkeypatch.setattr(locks, "RETRY_DURATION", 1)
    add_migration('op.create_table("tag", sa.Column("id", sa.Integer(), primary_key=True))', ADD_COLUMN)
    with psycopg.connect(postgresql_url(site), application_name="nightly report") as reader:
        reader.execute("SELECT * FROM post")
        with pytest.raises(
            MigrationError, match=r"did not get a lock[^$]*nightly report \(pid \d+, idle in transaction"
        ):
            migrate(site)
    with site.app_context():
        assert not inspect(db.engine).has_table("tag")
    migrate(site)
    assert "language" in columns(site, "post")


@pytest.mark.parametrize("statements", [CREATE_INDEX, (ADD_COLUMN,)], ids=["concurrently", "in a transaction"])
def test_replicas_take_turns(site, add_migration, statements):
    """Of three replicas that start at the same time, one migrates and all succeed, also without a transaction."""
    add_migration(*statements, 'op.execute("UPDATE post SET body = body")')
    # Processes, because Alembic keeps its state in global variables. Forked, because the app is imported already.
    replicas = [multiprocessing.get_context("fork").Process(target=migrate, args=(site,)) for _ in range(3)]
    for replica in replicas:
        replica.start()
    for replica in replicas:
        replica.join(60)
    assert [replica.exitcode for replica in replicas] == [0, 0, 0]
    if statements == CREATE_INDEX:
        with site.app_context():
            assert "ix_body" in {index["name"] for index in inspect(db.engine).get_indexes("post")}


def test_killed_replica_passes_its_turn_on(site, add_migration):
    """A replica that is killed while it migrates does not keep the others waiting."""
    add_migration(ADD_COLUMN)
    parent, child = multiprocessing.Pipe()

    def hang() -> None:
        with site.app_context(), locks.turn(db.engine):
            child.send("in turn")
            time.sleep(600)

    replica = multiprocessing.get_context("fork").Process(target=hang)
    replica.start()
    assert parent.poll(20)
    migration = threading.Thread(target=migrate, args=(site,))
    migration.start()
    migration.join(0.5)
    assert migration.is_alive()
    replica.kill()
    migration.join(20)
    assert "language" in columns(site, "post")


def test_each_migration_has_its_own_transaction(site, add_migration):
    """If the second migration fails, the first stays. The next run continues with the second."""
    add_migration(ADD_COLUMN)
    add_migration('op.create_table("tag", sa.Column("id", sa.Integer(), primary_key=True))', "1 / 0")
    with pytest.raises(ZeroDivisionError):
        migrate(site)
    assert "language" in columns(site, "post")
    with site.app_context():
        assert not inspect(db.engine).has_table("tag")
    failing = max(Path(site.extensions["migrate"].directory).glob("versions/*_test.py"))
    failing.write_text(failing.read_text().replace("1 / 0", ""))
    migrate(site)
    with site.app_context():
        assert inspect(db.engine).has_table("tag")


@on_sqlite
def test_migration_that_leaves_dangling_references_is_refused(site, add_migration, make_user):
    """A migration that deletes rows to which others refer is rolled back, and the error names the tables."""
    add_migration('op.execute("DELETE FROM account")')
    with pytest.raises(MigrationError, match="leaves 1 rows of post without their account"):
        migrate(site)
    with site.app_context():
        assert db.session.scalar(text("SELECT count(*) FROM account")) == 1


@on_sqlite
def test_older_dangling_references_do_not_stop_migrations(site, add_migration, make_user):
    """References that were dangling before are not the fault of the migration, which is applied."""
    with site.app_context(), db.engine.connect() as connection:
        connection.connection.execute("PRAGMA foreign_keys = OFF")
        connection.connection.execute("DELETE FROM account")
        connection.connection.execute("PRAGMA foreign_keys = ON")
    add_migration(ADD_COLUMN)
    migrate(site)
    assert "language" in columns(site, "post")


@pytest.fixture
def make_user(site) -> None:
    """Add a user with a post."""
    with site.app_context(), db.engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO account (id, email, username, active, fs_uniquifier, created_at, failed_logins)"
                " VALUES (1, 'ann@example.com', 'ann', true, 'ann', CURRENT_TIMESTAMP, 0)"
            )
        )
        connection.execute(
            text("INSERT INTO post (body, author_id, created_at) VALUES ('a post', 1, CURRENT_TIMESTAMP)")
        )
