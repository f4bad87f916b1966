"""Alembic's environment: runs migrations in one process at a time, each in a transaction of its own.

https://alembic.sqlalchemy.org/en/latest/tutorial.html
"""

import logging
from collections import Counter

from alembic import context
from flask import current_app
from sqlalchemy import Connection, NullPool, TypeDecorator, create_engine

from app.database import WRITE_LOCK, configure_engine
from app.migrations import locks

logging.basicConfig(format="%(message)s")  # no effect if logging is configured already
logging.getLogger("alembic").setLevel(logging.INFO)
db = current_app.extensions["migrate"].db
# Without a pool, the connections and their settings end with this run. Default of libpq's options: none, so statements
# outside of transactions have no timeouts.
arguments = {"connect_args": {"options": ""}} if db.engine.dialect.name == "postgresql" else {}
engine = create_engine(db.engine.url, poolclass=NullPool, **arguments)
configure_engine(engine)
if engine.dialect.name == "postgresql":
    locks.limit_lock_waits(engine)


def render_item(kind, item, autogen_context):
    """Render the app's column types as the underlying SQL types, so that migrations do not depend on the app's code."""
    if kind == "type" and isinstance(item, TypeDecorator):
        return f"sa.{item.impl!r}"
    return False  # Alembic's default


def include_name(name, kind, parents) -> bool:
    """Leave out the tables and indexes of the full-text search, which no model describes (0004_search.py)."""
    return not (name or "").startswith("post_search")


def relax_sqlite(connection: Connection) -> None:
    """Set the pragmas of migrations."""
    # SQLite alters a table by copying and dropping it. With foreign keys on, the drop would delete referring rows.
    connection.connection.execute("PRAGMA foreign_keys = OFF")
    # Milliseconds. A migration waits for the write lock longer than a request: nothing has to wait for it meanwhile.
    connection.connection.execute("PRAGMA busy_timeout = 600000")


def dangling_references(connection: Connection) -> Counter:
    """Return the number of rows that refer to a missing row, by table and referenced table."""
    return Counter((row.table, row.parent) for row in connection.exec_driver_sql("PRAGMA foreign_key_check"))


def run() -> None:
    """Run the migrations on a connection of their own."""
    with engine.connect().execution_options(**WRITE_LOCK) as connection:
        callbacks = []
        if engine.dialect.name == "sqlite":
            relax_sqlite(connection)
            before = dangling_references(connection)
            connection.rollback()

            def check_foreign_keys(ctx, step, **details):
                """Raise MigrationError, before the commit, if the migration has left more dangling references."""
                for (table, parent), number in (dangling_references(ctx.connection) - before).items():
                    raise locks.MigrationError(
                        f"Migration {step.up_revision_id} leaves {number} rows of {table} without their {parent}.",
                        "It has deleted rows that others refer to. SQLite does not check this during a migration.",
                        "correct the migration, which has been rolled back",
                    )

            callbacks.append(check_foreign_keys)
        context.configure(
            connection=connection,
            target_metadata=db.metadata,
            transactional_ddl=True,  # Default on SQLite: False, which commits each step separately.
            # Default: False, which holds the locks of the first migration until the end of the last.
            transaction_per_migration=True,
            on_version_apply=callbacks,
            render_item=render_item,
            include_name=include_name,
            **current_app.extensions["migrate"].configure_args,
        )
        with context.begin_transaction():
            context.run_migrations()


with locks.turn(engine):
    locks.retry(engine, run)
