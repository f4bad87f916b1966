"""The fleet that all conformance tests share, and the table that they write."""

from dataclasses import dataclass, replace

import pytest

from tests.live.conformance import everywhere
from tests.live.conformance.fleet import Fleet, Server
from tests.live.conformance.table import Table
from tests.live.stack import Stack


@dataclass(frozen=True)
class Counts:
    """How many requests each server gets."""

    fuzzed: int
    canaries: int
    posts: int
    framings: int  # of the variants in test_framings.py


IN_CI = Counts(fuzzed=400, canaries=300, posts=1000, framings=150)
LONG = Counts(fuzzed=20_000, canaries=10_000, posts=20_000, framings=100_000)


def pytest_addoption(parser):
    group = parser.getgroup("conformance")
    group.addoption("--requests", type=int, help="number of requests that the fuzzer sends")
    group.addoption("--seed", type=int, help="seed of the fuzzer; default: a fixed one")
    group.addoption("--write-table", metavar="FILE", help="write the table of behaviours to this file")


# Each option needs a default here: a run of all tests loads this file too late to add its options.
@pytest.fixture(scope="session")
def counts(pytestconfig, is_long) -> Counts:
    counts = LONG if is_long else IN_CI
    fuzzed = pytestconfig.getoption("--requests", None)
    return replace(counts, fuzzed=fuzzed) if fuzzed else counts


@pytest.fixture(scope="package")  # not session: the health checks of idle stacks take CPU time from other tests
def shared_fleet():
    fleet = Fleet()
    try:
        yield fleet.start()
    finally:
        fleet.down()


@pytest.fixture(scope="module")
def fleet(shared_fleet) -> Fleet:
    """The shared fleet, which has forgotten the requests of the files before."""
    shared_fleet.on_each(Server.seen)
    return shared_fleet


@pytest.fixture(scope="package")
def without_nginx():
    """Stacks by the server's name, without Nginx in front."""
    stacks = everywhere.stacks_without_nginx()
    try:
        everywhere.on_each(stacks, Stack.up)
        yield stacks
    finally:
        everywhere.on_each(stacks, Stack.down)


@pytest.fixture
def stacks(fleet, without_nginx):
    """Stacks by the server's name: behind Nginx, without Nginx, and Apache alone."""
    yield {server.name: server.stack for server in fleet.servers} | without_nginx
    fleet.on_each(lambda server: everywhere.recover(server.stack))
    fleet.on_each(lambda server: server.seen())


@pytest.fixture(scope="package")
def table(pytestconfig, shared_fleet):
    """The table of observations, written to a file if --write-table is set."""
    table = Table([server.name for server in shared_fleet.servers])
    yield table
    file = pytestconfig.getoption("--write-table", None)
    if file:
        table.write(file, shared_fleet)
