"""Options and fixtures of the smoke tests. They do not start if the site does not respond."""

import uuid
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from .account import Account
from .client import Page, Site
from .table import Table

HERE = Path(__file__).parent
DEFAULT_URL = "http://127.0.0.1:8080"
MAX_BODY = 10 * 1024**2
TABLE = pytest.StashKey[Table]()
NO_RESPONSE = """{url} does not respond.
cause: {reason}.
fix:   docker compose up -d --wait (or pass the URL of a running site: --base-url https://example.com)"""
UNPAIRED_CREDENTIALS = """The numbers of --user and --password options differ.
cause: Every account needs a password to log in.
fix:   pytest tests/smoke --user me@example.com --password … (or omit both)"""
INVALID_URL = """--base-url {url} is not the URL of a site.
cause: A site has an http or https URL without a path.
fix:   pytest tests/smoke --base-url https://example.com"""


def pytest_addoption(parser, pluginmanager):
    group = parser.getgroup("smoke", "smoke tests")
    if not pluginmanager.has_plugin("base_url"):  # this plugin has the same option
        group.addoption("--base-url", metavar="URL", help=f"the site to test (default: {DEFAULT_URL})")
    group.addoption("--expect-server", metavar="NAME", help="fail unless the site runs this WSGI server")
    for option, meaning in (
        ("--user", "email address of an existing account; can be used twice (default: create and close two accounts)"),
        ("--password", "password of the account"),
    ):
        group.addoption(option, metavar=option[2:].upper(), action="append", default=[], help=meaning)
    group.addoption("--max-body", metavar="BYTES", type=int, default=MAX_BODY, help="the site's MAX_BODY_SIZE")
    group.addoption("--rate-limits", choices=("on", "off"), default="on", help="the site's RATE_LIMITS (default: on)")


def is_requested(config) -> bool:
    """Return whether the smoke tests are named on the command line. Otherwise, pytest does not know their options."""
    return any(_is_smoke(arg) for arg in config.args)


def _is_smoke(arg: str) -> bool:
    path = Path(arg.partition("::")[0]).resolve()
    return HERE in (path, *path.parents)


def pytest_ignore_collect(collection_path, config):
    """Ignore the smoke tests unless they are named on the command line: `pytest tests` runs all other tests."""
    return None if is_requested(config) else True


def pytest_configure(config):
    if not is_requested(config):
        return
    config.stash[TABLE] = Table(HERE)
    config.pluginmanager.register(config.stash[TABLE])
    if all(_is_smoke(arg) for arg in config.args):
        _hide_other_output(config)


def _hide_other_output(config) -> None:
    """Print only the table, unless -v or --tb is used."""
    if config.option.verbose == 0:
        config.option.verbose = -2
        config.option.reportchars = "N"
        config.stash[TABLE].hides_other_output = True
    if config.option.tbstyle == "auto":
        config.option.tbstyle = "no"


def pytest_terminal_summary(terminalreporter, config):
    if not is_requested(config):
        terminalreporter.write_line(
            "smoke tests: not run (tests/live runs them; to run them yourself: pytest tests/smoke --base-url URL)"
        )


def pytest_sessionstart(session):
    config = session.config
    if not is_requested(config) or config.option.collectonly:
        return
    if len(config.getoption("user")) != len(config.getoption("password")):
        raise pytest.UsageError(UNPAIRED_CREDENTIALS)
    site = Site(_site_url(config))
    try:
        response = site.get("/healthz", status=set(range(100, 600)))
    except AssertionError as error:
        reason = str(error).partition(": ")[2]
        raise pytest.UsageError(NO_RESPONSE.format(url=site.url, reason=reason)) from None
    config.stash[TABLE].where = f"at {site.url} ({_server_name(response)})"


def _site_url(config) -> str:
    url = config.getoption("base_url") or DEFAULT_URL
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path.strip("/") or parts.query:
        raise pytest.UsageError(INVALID_URL.format(url=url))
    return url.rstrip("/")


def _server_name(response) -> str:
    try:
        return response.json()["wsgi_server"]
    except (ValueError, TypeError, LookupError):
        return "unknown server"


@pytest.fixture(scope="session")
def base_url(request) -> str:
    return _site_url(request.config)


@pytest.fixture(scope="session")
def account(request, base_url):
    """Return a user."""
    yield from _account(request.config, base_url, 0)


@pytest.fixture(scope="session")
def other(request, base_url):
    """Return another user."""
    yield from _account(request.config, base_url, 1)


def _account(config, base_url: str, index: int):
    """Yield the account of the first or second --user option, or a new account that is closed afterwards."""
    credentials = list(zip(config.getoption("user"), config.getoption("password"), strict=True))
    if index < len(credentials):
        account = Account(base_url, *credentials[index])
        yield account
        account.clean_up()
    else:
        account = Account.register(base_url)
        yield account
        account.close()


@pytest.fixture(scope="session")
def member(account) -> Site:
    """Return a client with the session of `account`."""
    return account.browser


@pytest.fixture(scope="session")
def program(account) -> Site:
    """Return a client with an API token of `account`."""
    return account.program


@pytest.fixture
def site(base_url):
    """Return an anonymous client."""
    client = Site(base_url)
    yield client
    client.close()


@pytest.fixture
def other_client(base_url):
    """Return another anonymous client."""
    client = Site(base_url)
    yield client
    client.close()


@pytest.fixture
def page(site) -> Page:
    """Return the home page."""
    return site.page()


@pytest.fixture
def sheet(page) -> str:
    """Return the URL of a style sheet of the home page."""
    assert page.style_sheets, "the home page has no style sheet below /static/"
    return page.style_sheets[0]


@pytest.fixture
def files(page) -> list[str]:
    """Return the URLs of all static files of the home page."""
    assert page.static_files, "the home page has no file below /static/"
    return page.static_files


@pytest.fixture
def marker(program):
    """Return a unique text. Posts that contain it, and everything that `program` created, are deleted afterwards."""
    text = f"smoke-test-{uuid.uuid4().hex}"
    yield text
    program.delete_posts(text)


@pytest.fixture
def max_body(request) -> int:
    """Return the maximum size of a request body in bytes."""
    return request.config.getoption("max_body")


@pytest.fixture
def has_rate_limits(request) -> bool:
    """Return whether the site has rate limits."""
    return request.config.getoption("rate_limits") == "on"
