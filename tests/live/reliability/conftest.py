"""The report that all these tests write to."""

from pathlib import Path

import pytest

from tests.live.reliability.checkout import Checkout
from tests.live.reliability.report import Report


def pytest_addoption(parser):
    parser.getgroup("reliability").addoption(
        "--write-report", metavar="FILE", help="write what was done, and how much of it failed, to this file"
    )


@pytest.fixture(scope="session")
def record(pytestconfig):
    """Report.record: one row of docs/explanation/reliability.md, which --write-report writes."""
    report = Report()
    yield report.record
    file = pytestconfig.getoption("--write-report", None)
    if file:
        report.write(Path(file))


@pytest.fixture(scope="module")
def checkout():
    """A running stack of its own, as on a host."""
    checkout = Checkout()
    try:
        checkout.up()
        yield checkout
    finally:
        checkout.down()
