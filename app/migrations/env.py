"""Runs the migrations, for the `flask db` commands: one process at a time, all or nothing."""

import logging

from alembic import context
from flask import current_app
from sqlalchemy import Connection, TypeDecorator

LOCK = 7_470_746_172  # any number that nothing else locks in this database

logging.basicConfig(format="%(message)s")  # does nothing where logging is set up already
logging.getLogger("alembic").setLevel(logging.INFO)
db = current_app.extensions["migrate"].db


def hold_the_lock(connection: Connection) -> None:
    """Make a second replica that migrates at the same time wait; it will then find nothing left to do.

    The lock and the settings last until the connection is closed, even when this process is killed.
    SQLite needs no lock but its own, for the transaction begins with BEGIN IMMEDIATE.
    """
    connection.detach()  # from the pool, so that the connection is closed at the end and not used again
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("SET statement_timeout = 0; SET lock_timeout = 0")  # a migration may take long
        connection.exec_driver_sql(f"SELECT pg_advisory_lock({LOCK})")
        connection.commit()
    else:
        # To alter a table SQLite must copy and drop it, and the drop would delete the rows that refer to it.
        connection.connection.execute("PRAGMA foreign_keys = OFF")
        connection.connection.execute("PRAGMA busy_timeout = 600000")  # milliseconds: another's migration may take long


def render_item(kind, item, autogen_context):
    """Write our own column types as the SQL types behind them: old migrations must outlive today's code."""
    return f"sa.{item.impl!r}" if kind == "type" and isinstance(item, TypeDecorator) else False


with db.engine.connect() as connection:
    hold_the_lock(connection)
    context.configure(
        connection=connection,
        target_metadata=db.metadata,
        transactional_ddl=True,  # on SQLite too, where Alembic would commit each step by itself
        render_item=render_item,
        **current_app.extensions["migrate"].configure_args,
    )
    with context.begin_transaction():
        context.run_migrations()
