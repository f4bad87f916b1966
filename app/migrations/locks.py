"""Locks of migrations: processes take turns, and a migration does not make requests wait for a lock.

PostgreSQL grants locks in the order of the requests. While `ALTER TABLE` waits for a reader, such as a backup or an
idle psql, all later requests for the table wait behind it. A migration therefore waits for LOCK_TIMEOUT at most, lets
the requests pass, and tries again.
"""

import fcntl
import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, Engine, event, func, select, text
from sqlalchemy.exc import OperationalError

LOCK_ID = 7_470_746_172  # an arbitrary number that nothing else in this database locks
POLL_INTERVAL = 0.2  # seconds between two attempts to take the turn

# Milliseconds. Below the lock_timeout of requests (database.py), so that none of them fails while it waits behind a
# migration.
LOCK_TIMEOUT = 500
# Milliseconds. A statement that needs longer should run in steps, or raise the limit: op.execute("SET LOCAL …").
STATEMENT_TIMEOUT = 15 * 60_000
RETRY_INTERVAL = 2  # seconds in which the requests that have waited are processed
RETRY_DURATION = 300  # seconds after which the migration fails

LOCK_ERRORS = {"55P03", "40P01"}  # lock_not_available, deadlock_detected
# Transactions that have been open for a second, without the one that holds the turn.
OPEN_TRANSACTIONS = text("""
    SELECT format('%s (pid %s, %s) for %s s', coalesce(nullif(application_name, ''), usename), pid, state,
                  round(extract(epoch FROM now() - xact_start)))
    FROM pg_stat_activity
    WHERE datname = current_database() AND xact_start < now() - interval '1 s'
        AND pid NOT IN (SELECT pid FROM pg_locks WHERE locktype = 'advisory')
    ORDER BY xact_start LIMIT 5
""")

log = logging.getLogger("alembic.locks")


class MigrationError(RuntimeError):
    """A migration cannot be applied. Flask-Migrate prints the message and exits."""

    def __init__(self, error: str, cause: str, fix: str):
        super().__init__(f"\nerror: {error}\ncause: {cause}\nfix:   {fix}")


@contextmanager
def turn(engine: Engine) -> Iterator[None]:
    """Wait for the other processes that migrate this database, and keep them waiting until the end of the block.

    The lock ends with the process, even if the process is killed.
    """
    if engine.dialect.name == "postgresql":
        with engine.connect() as connection:
            _take_turn(connection)
            yield
    elif engine.url.database in (None, "", ":memory:"):
        yield
    else:
        # The folder, because SQLite locks the database file itself in its own way.
        folder = os.open(Path(engine.url.database).parent, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            yield
        finally:
            os.close(folder)


def _take_turn(connection: Connection) -> None:
    # The lock belongs to the open transaction of a connection of its own: unlike a lock of the session, it works behind
    # a pooler. Polling, because a transaction that waits inside a statement would have a snapshot, for which CREATE
    # INDEX CONCURRENTLY waits: a deadlock. An idle transaction has none.
    while not connection.scalar(select(func.pg_try_advisory_xact_lock(LOCK_ID))):
        connection.rollback()
        time.sleep(POLL_INTERVAL)
    connection.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = 0")


def limit_lock_waits(engine: Engine) -> None:
    """Apply the timeouts to all transactions of a PostgreSQL `engine`.

    They do not apply to statements that run outside of a transaction, such as CREATE INDEX CONCURRENTLY: it may wait
    for long, because nothing has to wait for it.
    """

    @event.listens_for(engine, "begin")
    def set_timeouts(connection: Connection) -> None:
        if connection.get_execution_options().get("isolation_level") != "AUTOCOMMIT":
            connection.exec_driver_sql(f"SET LOCAL lock_timeout = {LOCK_TIMEOUT}")
            connection.exec_driver_sql(f"SET LOCAL statement_timeout = {STATEMENT_TIMEOUT}")


def retry(engine: Engine, run: Callable[[], None]) -> None:
    """Call `run` until it gets all its locks. Raises MigrationError after RETRY_DURATION."""
    deadline = time.monotonic() + RETRY_DURATION
    while True:
        try:
            run()
            return
        except OperationalError as error:
            if getattr(error.orig, "sqlstate", None) not in LOCK_ERRORS:
                raise
            with engine.connect() as connection:
                holders = ", ".join(connection.scalars(OPEN_TRANSACTIONS)) or "unknown"
            if time.monotonic() > deadline:
                raise MigrationError(
                    f"A migration did not get a lock within {RETRY_DURATION} s. It has been rolled back.",
                    f"Open transactions: {holders}.",
                    "end these transactions or wait for them, then release again",
                ) from error
        log.info("Another transaction holds a lock. Next attempt in %s s. Open: %s", RETRY_INTERVAL, holders)
        time.sleep(RETRY_INTERVAL)
