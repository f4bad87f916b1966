"""Fixtures for the tests that start real stacks. A failed test reports the logs of all running containers."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from deploy.settings import server_names
from tests.live.stack import Stack, running

LONGEST_LOG_LINE = 300  # characters; longer lines, such as tracebacks in JSON, would bury the failure itself


def pytest_addoption(parser):
    parser.addoption("--long", action="store_true", help="run as often as for the figures published in docs/")


@pytest.fixture(scope="session")
def is_long(pytestconfig) -> bool:
    """Whether --long is set. Default: False, because a run of all tests loads this file too late to add its options."""
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
    """Return a function that makes stacks. They are removed, with their volumes, after the module's tests."""
    made = []

    def make(*files: str, **env: str) -> Stack:
        made.append(Stack(*files, **env))
        return made[-1]

    yield make
    with ThreadPoolExecutor() as pool:
        list(pool.map(Stack.down, made))


@pytest.fixture(scope="module", params=server_names())
def server(request) -> str:
    """Each folder in deploy/servers. All tests of a module run with one server before the next one is started."""
    return request.param
