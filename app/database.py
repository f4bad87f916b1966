"""How the app talks to its database: SQLite until DATABASE_URL names a PostgreSQL server."""

from datetime import datetime, timezone
from typing import Any

from flask import Flask, has_request_context, request
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import DateTime, Engine, MetaData, TypeDecorator, event, make_url

# Names for all constraints: SQLite has none of its own, and a migration can only drop what has a name.
NAMES = {kind: f"{kind}_%(table_name)s_%(column_0_N_name)s" for kind in ("ix", "uq", "fk")}
NAMES |= {"pk": "pk_%(table_name)s", "ck": "ck_%(table_name)s_%(constraint_name)s"}
db = SQLAlchemy(metadata=MetaData(naming_convention=NAMES))

POSTGRESQL = {
    # Per worker process 5 kept and 5 more in a rush; times the workers it must stay below the server's
    # max_connections (100 by default).
    "pool_size": 5,
    "max_overflow": 5,
    # Seconds to wait for a free connection. Short: a queue that takes longer only grows.
    "pool_timeout": 1,
    "connect_args": {
        # Seconds; the least that libpq accepts. patience.py is stricter.
        "connect_timeout": 2,
        # Milliseconds. Less than any request may take, so that the database gives up before the client has; and a lock
        # that somebody keeps for longer than moments is as good as a database that is away.
        "options": "-c statement_timeout=8000 -c lock_timeout=1500",
    },
}

SQLITE = (
    # Milliseconds to wait for another writer: the answer, then 503, is to come in 2 s. First, for the next may have to.
    "PRAGMA busy_timeout = 1800",
    "PRAGMA journal_mode = WAL",  # readers and the one writer do not wait for each other
    "PRAGMA synchronous = FULL",  # with NORMAL a power cut loses commits that were already acknowledged
    "PRAGMA foreign_keys = ON",  # off by default, and set per connection
)

ID_MAX = 2**31 - 1  # the largest that PostgreSQL's integer holds
SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}  # RFC 9110, 9.2.1; TRACE is never routed


class UTCDateTime(TypeDecorator):
    """A moment, always aware and in UTC: SQLite would hand it back without its time zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Any) -> datetime | None:
        return value and value.astimezone(timezone.utc)

    def process_result_value(self, value: datetime | None, dialect: Any) -> datetime | None:
        if value and value.tzinfo is None:
            return value.replace(tzinfo=timezone.utc)
        return value and value.astimezone(timezone.utc)


def utc_now() -> datetime:
    """Return the present moment, aware of its time zone."""
    return datetime.now(timezone.utc)


def init_app(app: Flask) -> None:
    """Start Flask-SQLAlchemy with the settings that suit the kind of database."""
    if make_url(app.config["SQLALCHEMY_DATABASE_URI"]).get_backend_name() == "postgresql":
        app.config.setdefault("SQLALCHEMY_ENGINE_OPTIONS", POSTGRESQL)
    db.init_app(app)
    with app.app_context():
        listen(db.engine)


def listen(engine: Engine) -> None:
    """Give a SQLite `engine` its settings and its transactions, a PostgreSQL one its patience."""
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _set_pragmas)
        event.listen(engine, "begin", _begin)
    if engine.dialect.name == "postgresql":
        from app import patience  # here: a twentieth of the app's start is psycopg, which SQLite does without

        patience.listen(engine)


def _set_pragmas(connection, record) -> None:
    connection.isolation_level = None  # or the driver would begin transactions by itself, and too late
    for pragma in SQLITE:
        connection.execute(pragma)


def _begin(connection) -> None:
    """Begin a transaction; take the write lock at once where a write may follow.

    A transaction that reads and then wants to write is refused ("database is locked", without any wait) when
    another has written in between. One that begins with the lock waits for its turn instead.
    https://sqlite.org/isolation.html, https://sqlite.org/lang_transaction.html
    """
    only_reads = has_request_context() and request.method in SAFE_METHODS
    connection.exec_driver_sql("BEGIN" if only_reads else "BEGIN IMMEDIATE")
