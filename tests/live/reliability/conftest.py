"""The report that all reliability tests write, the stacks in a checkout, and their clients."""

import contextlib
from pathlib import Path

import pytest

from tests.live.reliability.checkout import Checkout
from tests.live.reliability.clients import SHORT_RUN_PAUSE, Clients
from tests.live.reliability.report import Report


def pytest_addoption(parser):
    parser.getgroup("reliability").addoption(
        "--write-report", metavar="FILE", help="write the results of the tests to this file"
    )


@pytest.fixture(scope="session")
def record(pytestconfig):
    """Report.record, which adds a row. The report is written to a file if --write-report is set."""
    report = Report()
    yield report.record
    file = pytestconfig.getoption("--write-report", None)
    if file:
        report.write(Path(file))


@pytest.fixture(scope="module")
def make_checkout():
    """Return a function that makes a running stack in its own checkout, as on a host."""
    with contextlib.ExitStack() as made:

        def make(short: bool, **settings: str) -> Checkout:
            checkout = Checkout(short, **settings)
            made.callback(checkout.down)
            checkout.up()
            return checkout

        yield make


@pytest.fixture(scope="module")
def checkout(make_checkout, is_long) -> Checkout:
    """A running stack in its own checkout, with short rollouts unless --long is set."""
    return make_checkout(short=not is_long)


@pytest.fixture(scope="session")
def load_seconds(is_long) -> float:
    """How long a fault is accompanied by load."""
    return 4 if is_long else 2


@pytest.fixture
def clients(is_long):
    """Return a function that makes the clients, which send requests more often with --long."""
    return lambda address, pause=0.15: Clients(address, pause if is_long else SHORT_RUN_PAUSE)
