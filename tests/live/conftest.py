"""Fixtures of the tests that start real stacks; a failed test shows what the containers said."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from deploy.settings import server_names
from tests.live.stack import Stack, running

LONGEST_LOG_LINE = 300  # characters; tracebacks in JSON would hide the failure itself


def pytest_addoption(parser):
    parser.addoption("--long", action="store_true", help="the counts that docs/ is published with")


@pytest.fixture(scope="session")
def is_long(pytestconfig) -> bool:
    """Whether --long was given. A run of all tests loads this file too late for its options: hence the default."""
    return pytestconfig.getoption("--long", False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.failed:
        for stack in running:
            lines = [line[:LONGEST_LOG_LINE] for line in stack.logs().splitlines()]
            report.sections.append((f"container logs of {stack.project}", "\n".join(lines)))
    return report


@pytest.fixture(scope="module")
def make_stack():
    """Makes stacks and takes them away again, with their volumes, after the module's tests."""
    made = []

    def make(*files: str, **env: str) -> Stack:
        made.append(Stack(*files, **env))
        return made[-1]

    yield make
    with ThreadPoolExecutor() as pool:
        list(pool.map(Stack.down, made))


@pytest.fixture(scope="module", params=server_names())
def server(request) -> str:
    """Each folder of deploy/servers in turn: all tests of a module with one of them, so that it is started once."""
    return request.param
