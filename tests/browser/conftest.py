"""A stack with a demo in it and a browser, for all tests of the folder; a failed test leaves a picture."""

from pathlib import Path

import pytest

from tests.browser.browser import Browser
from tests.browser.site import Site
from tests.live.conftest import pytest_runtest_makereport  # noqa: F401  (shows what the containers said)

ADMIN = {"email": "chief@example.com", "password": "correct horse battery"}


def pytest_addoption(parser):
    parser.addoption("--screenshots", metavar="FOLDER", type=Path, help="tests/browser: save pictures of every page")


@pytest.fixture(scope="session")
def site():
    """A live stack with people, notes, and an admin whose password is known."""
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
    """Chromium, started once."""
    browser = Browser(site.url)
    yield browser
    browser.quit()


@pytest.fixture
def browser(window, request):
    """The window; after each test its console must have had nothing to complain about."""
    window.complaints()
    yield window
    assert window.complaints() == []
