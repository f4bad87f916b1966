"""Timeouts of the PostgreSQL client: a server that hangs delays a request by one or two seconds.

PostgreSQL enforces statement_timeout itself, so a server that hangs does not enforce it. TCP timeouts do not help
either: the kernel of a hanging server keeps acknowledging packets, and Unix sockets have no timeouts. Therefore the
client limits the time for a new connection, for the ping before a pooled connection is used, and for each statement of
a request.
"""

import re
import time
from collections.abc import Callable, Generator
from typing import Any

import psycopg
from flask import has_request_context
from sqlalchemy import Engine, event
from sqlalchemy.exc import DisconnectionError

CONNECT_TIMEOUT = 1.0  # seconds for a new connection or a ping; a healthy server needs milliseconds
STATEMENT_TIMEOUT = 10.0  # seconds; longer than statement_timeout (database.py), which a healthy server enforces
CIRCUIT_BREAKER_DELAY = 1.0  # seconds after a timeout in which requests fail without contacting the server


class DatabaseTimeout(psycopg.OperationalError):
    """The server accepts connections but does not respond."""


class Connection(psycopg.Connection):
    """A connection that limits how long a request waits. After a timeout it is closed and raises DatabaseTimeout."""

    response_timeout = STATEMENT_TIMEOUT

    @classmethod
    def _connect_gen(cls, *args: Any, **kwargs: Any) -> Generator:
        # libpq's connect_timeout is at least two seconds. This generator drives psycopg's own connection steps, which
        # psycopg polls ten times a second.
        deadline = time.monotonic() + CONNECT_TIMEOUT
        steps = super()._connect_gen(*args, **kwargs)
        step = next(steps)
        while True:
            try:
                step = steps.send((yield step))
            except StopIteration as finished:
                return finished.value
            if time.monotonic() > deadline:
                raise DatabaseTimeout("The database did not accept a connection.")

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        """Wait for a response. Outside of requests, for example in a migration, there is no time limit."""
        if timeout is None and has_request_context():
            timeout = self.response_timeout
        try:
            return super().wait(gen, interval, timeout)
        except psycopg.errors._WaitTimeout:
            self.close()
            raise DatabaseTimeout("The database did not respond.") from None

    def ping(self) -> None:
        """Check that the server responds. Raises DatabaseTimeout, or OperationalError if the connection is broken."""
        self.response_timeout = CONNECT_TIMEOUT
        self.autocommit = True  # avoids BEGIN and ROLLBACK around the statement
        self.execute("SELECT 1")
        self.autocommit = False
        self.response_timeout = STATEMENT_TIMEOUT


class CircuitBreaker:
    """Makes database calls fail immediately for CIRCUIT_BREAKER_DELAY seconds after a timeout."""

    def __init__(self):
        self._open_until = 0.0  # as measured by time.monotonic()

    def call(self, function: Callable, *args: Any, **kwargs: Any) -> Any:
        """Call `function` and return its result. Raises DatabaseTimeout without a call while the circuit is open."""
        if time.monotonic() < self._open_until:
            raise DatabaseTimeout("The database did not respond a moment ago.")
        try:
            return function(*args, **kwargs)
        except DatabaseTimeout:
            self._open_until = time.monotonic() + CIRCUIT_BREAKER_DELAY
            raise


def _use_pooler(engine: Engine, parameters: dict[str, Any]) -> None:
    """Adapt to a pooler such as PgBouncer, which refuses session settings: set them in each transaction of a request.

    In transaction mode each transaction may have another session, so nothing may belong to the session: prepared
    statements neither. https://www.pgbouncer.org/features.html. `parameters` are those of all further connections.
    """
    timeouts = re.findall(r"-c (\w+)=(\w+)", parameters.pop("options"))
    parameters["prepare_threshold"] = None
    statement = "SELECT " + ", ".join(f"set_config('{name}', '{value}', true)" for name, value in timeouts)

    @event.listens_for(engine, "begin")
    def set_timeouts(connection):
        if has_request_context():  # migrations have no timeouts
            connection.exec_driver_sql(statement)


def configure_engine(engine: Engine) -> None:
    """Make a PostgreSQL `engine` use connections with timeouts, behind one circuit breaker."""
    circuit_breaker = CircuitBreaker()

    @event.listens_for(engine, "do_connect")
    def connect(dialect, record, arguments, parameters):
        try:
            return circuit_breaker.call(Connection.connect, *arguments, **parameters)
        except psycopg.OperationalError as error:
            if "unsupported startup parameter" not in str(error) or "options" not in parameters:
                raise
        _use_pooler(engine, parameters)
        return circuit_breaker.call(Connection.connect, *arguments, **parameters)

    @event.listens_for(engine, "checkout")
    def check_connection(connection, record, proxy):
        """Replace pooled connections that broke while they were idle, for example because of a failover."""
        try:
            circuit_breaker.call(connection.ping)
        except DatabaseTimeout:
            raise
        except psycopg.OperationalError as error:
            raise DisconnectionError from error
