"""Classification of database errors: which of them are temporary, and which mean that the schema is wrong.

SQLAlchemy has the same classes for both: to SQLite's driver, a locked database and a missing column are an
OperationalError.
"""

from sqlalchemy.exc import DBAPIError, IntegrityError, InterfaceError, OperationalError, TimeoutError

# Primary result codes of SQLite that mean that the database cannot be used at the moment: BUSY, LOCKED, NOMEM,
# READONLY, INTERRUPT, IOERR, FULL, CANTOPEN and PROTOCOL. https://sqlite.org/rescode.html
SQLITE_UNAVAILABLE = {5, 6, 7, 8, 9, 10, 13, 14, 15}
SQLITE_ERROR = 1  # a statement that SQLite does not accept, for example because a table or a column is missing
# Extended result codes: a unique index or a primary key has the same value already.
SQLITE_UNIQUE = {2067, 1555}
# undefined_table, undefined_column, undefined_function. https://www.postgresql.org/docs/current/errcodes-appendix.html
POSTGRESQL_SCHEMA = {"42P01", "42703", "42883"}
POSTGRESQL_UNIQUE = "23505"


def is_unavailable(error: BaseException | None) -> bool:
    """Return whether the database is unreachable, hanging, locked or out of space: another attempt may succeed."""
    if isinstance(error, (TimeoutError, InterfaceError)):  # TimeoutError: no free connection in the pool
        return True
    if not isinstance(error, OperationalError):
        return False
    code = _sqlite_code(error)
    return code is None or code & 0xFF in SQLITE_UNAVAILABLE


def is_wrong_schema(error: BaseException | None) -> bool:
    """Return whether a table or a column is missing: the migrations of this release have not run."""
    if not isinstance(error, DBAPIError):
        return False
    if _sqlite_code(error) == SQLITE_ERROR:
        return str(error.orig).startswith("no such ") or " has no column named " in str(error.orig)
    return getattr(error.orig, "sqlstate", None) in POSTGRESQL_SCHEMA


def is_duplicate(error: BaseException | None) -> bool:
    """Return whether a concurrent request has stored the same unique value, for example after a double click."""
    if not isinstance(error, IntegrityError):
        return False
    return _sqlite_code(error) in SQLITE_UNIQUE or getattr(error.orig, "sqlstate", None) == POSTGRESQL_UNIQUE


def _sqlite_code(error: DBAPIError) -> int | None:
    """Return SQLite's result code, None for an error of another database."""
    return getattr(error.orig, "sqlite_errorcode", None)
