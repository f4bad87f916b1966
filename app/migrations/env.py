"""Alembic's environment: runs migrations in one process at a time and in a single transaction.

https://alembic.sqlalchemy.org/en/latest/tutorial.html
"""

import logging

from alembic import context
from flask import current_app
from sqlalchemy import Connection, TypeDecorator

LOCK_ID = 7_470_746_172  # an arbitrary number that nothing else in this database locks

logging.basicConfig(format="%(message)s")  # no effect if logging is configured already
logging.getLogger("alembic").setLevel(logging.INFO)
db = current_app.extensions["migrate"].db


def prepare(connection: Connection) -> None:
    """Take the migration lock and relax the timeouts of this connection.

    A second process that migrates at the same time waits for the lock and then has nothing left to do. The lock and
    the settings last until the connection is closed, even if this process is killed.
    """
    connection.detach()  # from the pool, so that the connection is closed at the end instead of being used again
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("SET statement_timeout = 0; SET lock_timeout = 0")  # migrations may take long
        connection.exec_driver_sql(f"SELECT pg_advisory_lock({LOCK_ID})")
        connection.commit()
    else:
        # SQLite alters a table by copying and dropping it. With foreign keys on, the drop would delete referring rows.
        connection.connection.execute("PRAGMA foreign_keys = OFF")
        # SQLite's own lock is enough (database.py begins with BEGIN IMMEDIATE), but another migration may take long.
        connection.connection.execute("PRAGMA busy_timeout = 600000")  # milliseconds


def render_item(kind, item, autogen_context):
    """Render the app's column types as the underlying SQL types, so that migrations do not depend on the app's code."""
    if kind == "type" and isinstance(item, TypeDecorator):
        return f"sa.{item.impl!r}"
    return False  # Alembic's default


with db.engine.connect() as connection:
    prepare(connection)
    context.configure(
        connection=connection,
        target_metadata=db.metadata,
        transactional_ddl=True,  # Default on SQLite: False, which commits each step separately.
        render_item=render_item,
        **current_app.extensions["migrate"].configure_args,
    )
    with context.begin_transaction():
        context.run_migrations()
