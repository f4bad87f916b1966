"""Database access: SQLite by default, PostgreSQL if DATABASE_URL names a server."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from typing import Any

from flask import Flask, g, has_request_context, request
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import DateTime, Engine, MetaData, TypeDecorator, event, make_url

# SQLite does not name constraints by itself, and a migration can only drop a constraint that has a name.
# https://alembic.sqlalchemy.org/en/latest/naming.html
NAMING_CONVENTION = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
}
# expire_on_commit: with the default (True), an object is loaded again when it is used after a commit. If the database
# failed at that point, a committed write would be answered with an error, and the client would send it again.
db = SQLAlchemy(metadata=MetaData(naming_convention=NAMING_CONVENTION), session_options={"expire_on_commit": False})

POSTGRESQL_ENGINE_OPTIONS = {
    # Connections per worker process: 5 pooled and 5 more under load. Multiplied by the number of workers, they must
    # stay below the server's max_connections (default: 100).
    "pool_size": 5,
    "max_overflow": 5,
    # Seconds to wait for a free connection (default: 30). Short, because a queue that needs longer only grows.
    "pool_timeout": 1,
    "connect_args": {
        # Seconds. 2 is the minimum of libpq; database_timeouts.py enforces a shorter timeout.
        "connect_timeout": 2,
        # Milliseconds (defaults: 0, no limit). statement_timeout is below REQUEST_TIMEOUT, so that the database gives
        # up before the client does. A lock that is held longer than 1.5 s is treated like an unavailable database.
        "options": "-c statement_timeout=8000 -c lock_timeout=1500",
    },
}

# https://sqlite.org/pragma.html
SQLITE_PRAGMAS = (
    # Milliseconds to wait for another writer (default of Python's driver: 5000). Below 2 s, because the 503 should be
    # sent within 2 s. Set first, because the next pragma may have to wait for a lock too.
    "PRAGMA busy_timeout = 1800",
    "PRAGMA journal_mode = WAL",  # Default: DELETE, with which readers and the writer block each other.
    "PRAGMA synchronous = FULL",  # With NORMAL, a power cut can lose commits that were already acknowledged.
    "PRAGMA foreign_keys = ON",  # Default: OFF. Has to be set on every connection.
)

ID_MAX = 2**31 - 1  # the largest value of PostgreSQL's integer type
SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}  # RFC 9110, section 9.2.1, without TRACE, which is never routed
# Forms that hash a password. They only read until then, and password_hashing.py ends the transaction before the hash.
HASHING_ENDPOINTS = {
    "account.deactivate",
    "security.change_password",
    "security.login",
    "security.register",
    "security.reset_password",
}
WRITE_LOCK = {"write_lock": True}  # execution option of transactions that take SQLite's write lock when they begin


class UTCDateTime(TypeDecorator):
    """A timezone-aware timestamp in UTC. SQLite itself returns timestamps without a time zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Any) -> datetime | None:
        """Convert a Python value for the database."""
        return None if value is None else value.astimezone(timezone.utc)

    def process_result_value(self, value: datetime | None, dialect: Any) -> datetime | None:
        """Convert a value of the database for Python."""
        if value is None:
            return None
        if value.tzinfo is None:
            return value.replace(tzinfo=timezone.utc)
        return value.astimezone(timezone.utc)


def utc_now() -> datetime:
    """Return the current time as a timezone-aware timestamp."""
    return datetime.now(timezone.utc)


def init_app(app: Flask) -> None:
    """Initialize Flask-SQLAlchemy with the engine options of the configured database."""
    if make_url(app.config["SQLALCHEMY_DATABASE_URI"]).get_backend_name() == "postgresql":
        app.config.setdefault("SQLALCHEMY_ENGINE_OPTIONS", POSTGRESQL_ENGINE_OPTIONS)
    db.init_app(app)
    with app.app_context():
        configure_engine(db.engine)


def configure_engine(engine: Engine) -> None:
    """Register the event listeners of `engine`: pragmas and transactions for SQLite, timeouts for PostgreSQL."""
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _set_pragmas)
        event.listen(engine, "begin", _begin_transaction)
    if engine.dialect.name == "postgresql":
        # Imported here because psycopg takes 5 % of the app's start time, and SQLite does not need it.
        from app import database_timeouts

        database_timeouts.configure_engine(engine)


def _set_pragmas(connection, record) -> None:
    # The driver must not begin transactions itself: it begins them at the first write, which is too late for
    # _begin_transaction(). https://docs.sqlalchemy.org/en/20/dialects/sqlite.html#pysqlite-serializable
    connection.isolation_level = None
    for pragma in SQLITE_PRAGMAS:
        connection.execute(pragma)


def _begin_transaction(connection) -> None:
    """Begin a transaction: with the write lock in requests that write and in write_transaction(), else deferred.

    A transaction that reads first and writes later fails at once ("database is locked") if another transaction has
    written in between. A transaction that begins with the write lock waits for the lock instead (busy_timeout). Outside
    of requests, the lock could be held for long: by a shell that waits at its prompt, for example.
    https://sqlite.org/isolation.html, https://sqlite.org/lang_transaction.html
    """
    options = connection.get_execution_options()
    if options.get("isolation_level") == "AUTOCOMMIT":
        return
    takes_lock = options.get("write_lock") or (has_request_context() and _request_writes())
    connection.exec_driver_sql("BEGIN IMMEDIATE" if takes_lock else "BEGIN")


def _request_writes() -> bool:
    if request.endpoint in HASHING_ENDPOINTS and "password_is_hashed" not in g:
        return False
    return request.method not in SAFE_METHODS


@contextmanager
def write_transaction() -> Iterator[None]:
    """Run a block of code in a new transaction that may read before it writes, and commit it at the end.

    Commands, threads and views with a safe method use it. In requests with another method, every transaction may write.
    """
    db.session.rollback()  # ends a transaction that has only read
    try:
        db.session.connection(execution_options=WRITE_LOCK)
        yield
        db.session.commit()
    except BaseException:
        db.session.rollback()
        raise
