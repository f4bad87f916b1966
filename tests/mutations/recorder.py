"""A pytest plugin for random mutants: record which lines each test runs, how long it takes and if it starts a process.

It runs below `coverage run`. The tests are written to the file that RECORDED_TESTS names.
"""

import json
import os
import sys
import time
from pathlib import Path

import coverage
import pytest

PROCESS_EVENTS = {"subprocess.Popen", "os.fork", "os.posix_spawn"}

tests: dict[str, dict] = {}
current: dict = {}


def _note_processes(event, args):
    if event in PROCESS_EVENTS:
        current["starts_process"] = True


sys.addaudithook(_note_processes)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    """Record the lines of the test, of its fixtures and of the code that both call under the test's name."""
    global current
    coverage.Coverage.current().switch_context(item.nodeid)
    current = tests[item.nodeid] = {"starts_process": False}
    began = time.monotonic()
    try:
        return (yield)
    finally:
        current["seconds"] = time.monotonic() - began


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef, request):
    """Record the lines of a fixture that several tests share without a name, like those that run at import."""
    if fixturedef.scope == "function":
        return (yield)
    coverage.Coverage.current().switch_context("")
    try:
        return (yield)
    finally:
        coverage.Coverage.current().switch_context(os.environ["PYTEST_CURRENT_TEST"].rpartition(" (")[0])


def pytest_sessionfinish():
    """Write what was recorded."""
    Path(os.environ["RECORDED_TESTS"]).write_text(json.dumps(tests))
