"""The fleet that all these tests share, and the table that they write."""

from dataclasses import dataclass, replace

import pytest

from tests.live.conformance.fleet import Fleet
from tests.live.conformance.table import Table


@dataclass(frozen=True)
class Counts:
    """How often things are done, by each server."""

    fuzzed: int
    canaries: int
    posts: int
    framings: int  # of test_framings.py's mutations


IN_CI = Counts(fuzzed=2000, canaries=300, posts=1000, framings=150)
LONG = Counts(fuzzed=20_000, canaries=10_000, posts=20_000, framings=100_000)


def pytest_addoption(parser):
    group = parser.getgroup("conformance")
    group.addoption("--requests", type=int, help="how many requests the fuzzer sends")
    group.addoption("--seed", type=int, help="the fuzzer's seed; the same each time by default")
    group.addoption("--write-table", metavar="FILE", help="write the table of behaviours to this file")


# With a default each, because a run of all tests loads this file too late for its options.
@pytest.fixture(scope="session")
def counts(pytestconfig, is_long) -> Counts:
    counts = LONG if is_long else IN_CI
    fuzzed = pytestconfig.getoption("--requests", None)
    return replace(counts, fuzzed=fuzzed) if fuzzed else counts


@pytest.fixture(scope="package")  # not longer: the health checks of what only stands there take CPU from other tests
def fleet():
    fleet = Fleet()
    try:
        yield fleet.start()
    finally:
        fleet.down()


@pytest.fixture(scope="package")
def table(pytestconfig, fleet):
    """What was observed; becomes a file when --write-table asks for it."""
    table = Table([server.name for server in fleet.servers])
    yield table
    file = pytestconfig.getoption("--write-table", None)
    if file:
        table.write(file, fleet)
