"""The report that all reliability tests write."""

from pathlib import Path

import pytest

from tests.live.reliability.checkout import Checkout
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
def checkout():
    """A running stack in its own checkout, as on a host."""
    checkout = Checkout()
    try:
        checkout.up()
        yield checkout
    finally:
        checkout.down()
