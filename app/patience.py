"""A database that does not answer costs a request a second or two, not its whole time.

PostgreSQL's own time-outs are kept by the server, and one that hangs keeps none. TCP's reach only as far as its kernel,
which lives on, and a Unix socket has none at all. So this side looks at the clock too: when a connection is made,
before each use of a pooled one, and while a request waits for an answer.
"""

import time
from collections.abc import Generator
from typing import Any

import psycopg
from flask import has_request_context
from sqlalchemy import Engine, event
from sqlalchemy.exc import DisconnectionError

TO_ANSWER = 1.0  # seconds for a new connection, and for "are you there?"; a server that is well needs milliseconds
TO_FINISH = 10.0  # seconds for a statement; more than statement_timeout (database.py), which a living server keeps
FAIL_FAST = 1.0  # seconds in which nobody asks again after the server has not answered


class Hangs(psycopg.OperationalError):
    """The server is there and does not answer."""


class Connection(psycopg.Connection):
    """A connection on which a request waits only so long. Raises Hangs afterwards, and is closed."""

    patience = TO_FINISH

    @classmethod
    def _connect_gen(cls, *args: Any, **kwargs: Any) -> Generator:
        # libpq's connect_timeout is two seconds at least. The steps are psycopg's own; it asks each ten times a second.
        end = time.monotonic() + TO_ANSWER
        steps = super()._connect_gen(*args, **kwargs)
        step = next(steps)
        while True:
            try:
                step = steps.send((yield step))
            except StopIteration as done:
                return done.value
            if time.monotonic() > end:
                raise Hangs("the database took no connection")

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        """Wait for an answer; a migration, which is no request, may take as long as it needs."""
        if timeout is None and has_request_context():
            timeout = self.patience
        try:
            return super().wait(gen, interval, timeout)
        except psycopg.errors._WaitTimeout:
            self.close()
            raise Hangs("the database gave no answer") from None

    def check(self) -> None:
        """Ask whether the server is there. Raises Hangs, or OperationalError if the connection is broken."""
        self.patience = TO_ANSWER
        self.autocommit = True  # no BEGIN and ROLLBACK around it
        self.execute("SELECT 1")
        self.autocommit = False
        self.patience = TO_FINISH


def listen(engine: Engine) -> None:
    """Give a PostgreSQL `engine` connections that do not wait for ever, and a moment's memory that the server hangs."""
    asked_again = 0.0  # time.monotonic() from which on the server is asked again

    def unless_it_hangs(ask: Any) -> Any:
        nonlocal asked_again
        if time.monotonic() < asked_again:
            raise Hangs("the database did not answer a moment ago")
        try:
            return ask()
        except Hangs:
            asked_again = time.monotonic() + FAIL_FAST
            raise

    @event.listens_for(engine, "do_connect")
    def connect(dialect, record, arguments, parameters):
        return unless_it_hangs(lambda: Connection.connect(*arguments, **parameters))

    @event.listens_for(engine, "checkout")
    def check_out(connection, record, proxy):
        """A connection that died in the pool (restart, failover) is replaced, not handed out."""
        try:
            unless_it_hangs(connection.check)
        except Hangs:
            raise
        except psycopg.OperationalError as error:
            raise DisconnectionError from error
