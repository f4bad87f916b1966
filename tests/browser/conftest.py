"""Fixtures of the browser tests: a live stack with demo data, and a browser."""

from pathlib import Path

import pytest

from tests.browser.browser import Browser
from tests.browser.site import Site
from tests.live.conftest import pytest_runtest_makereport  # noqa: F401  (adds the containers' logs to failures)

ADMIN = {"email": "chief@example.com", "password": "correct horse battery"}


def pytest_addoption(parser):
    parser.addoption("--screenshots", metavar="FOLDER", type=Path, help="tests/browser: save screenshots of every page")


@pytest.fixture(scope="session")
def site():
    """A live stack with demo data and the admin ADMIN."""
    stack = Site(WEB_CONCURRENCY="1")
    try:
        stack.up()
        stack.flask("seed", "--posts", "120", "--users", "12", "--random-seed", "5")
        stack.flask("admin", ADMIN["email"], "--username", "chief", "--password", ADMIN["password"])
        yield stack
    finally:
        stack.down()


@pytest.fixture(scope="session")
def window(site):
    """A browser that all tests share."""
    browser = Browser(site.url)
    yield browser
    browser.quit()


@pytest.fixture
def browser(window, request):
    """The browser. A test fails if the console contains errors after it."""
    window.console_errors()
    yield window
    assert window.console_errors() == []
