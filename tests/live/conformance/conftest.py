"""The fleet that all these tests share, and the table that they write."""

import pytest

from tests.live.conformance.fleet import Fleet
from tests.live.conformance.table import Table

DEFAULT_REQUESTS = 2000


def pytest_addoption(parser):
    group = parser.getgroup("conformance")
    group.addoption("--requests", type=int, default=DEFAULT_REQUESTS, help="how many requests the fuzzer sends")
    group.addoption("--seed", type=int, help="the fuzzer's seed; the same each time by default")
    group.addoption("--write-table", metavar="FILE", help="write the table of behaviours to this file")


# With a default each, because a run of all tests loads this file too late for its options.
@pytest.fixture(scope="session")
def requests_to_send(pytestconfig) -> int:
    return pytestconfig.getoption("--requests", DEFAULT_REQUESTS)


@pytest.fixture(scope="session")
def fleet():
    fleet = Fleet()
    try:
        yield fleet.start()
    finally:
        fleet.down()


@pytest.fixture(scope="session")
def table(pytestconfig, fleet):
    """What was observed; becomes a file when --write-table asks for it."""
    table = Table([server.name for server in fleet.servers])
    yield table
    file = pytestconfig.getoption("--write-table", None)
    if file:
        table.write(file, fleet)
