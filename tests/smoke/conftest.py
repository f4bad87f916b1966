"""The smoke tests' options and fixtures; that the site answers at all is found out before any test."""

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
NO_ANSWER = """{url} does not answer, so no promise was looked at.
Why: {reason}.
Type `docker compose up -d --wait` to start the stack here, or name the address of a running one:
    pytest tests/smoke --base-url https://example.com"""
HALF_AN_ACCOUNT = """There is not one --password for each --user.
Why: without it nobody can be logged in.
Type: pytest tests/smoke --user me@example.com --password …, or leave both out."""
BAD_URL = """--base-url {url} is not the address of a site.
Why: the stack serves at the root of a host, by http or https.
Type: pytest tests/smoke --base-url https://example.com"""


def pytest_addoption(parser, pluginmanager):
    group = parser.getgroup("smoke", "smoke tests")
    if not pluginmanager.has_plugin("base_url"):  # pytest-base-url, which has the same option
        group.addoption("--base-url", metavar="URL", help=f"the site to test (default: {DEFAULT_URL})")
    group.addoption("--expect-server", metavar="NAME", help="the WSGI server that must answer, such as uwsgi")
    for option, meaning in (
        ("--user", "an account there, by email; twice, for the tests that need two (default: made, then closed)"),
        ("--password", "its password"),
    ):
        group.addoption(option, metavar=option[2:].upper(), action="append", default=[], help=meaning)
    group.addoption("--max-body", metavar="BYTES", type=int, default=MAX_BODY, help="the site's MAX_BODY_SIZE")


def asked_for(config) -> bool:
    """Whether the smoke tests were named on the command line; only then does pytest read their options."""
    return any(_is_smoke(arg) for arg in config.args)


def _is_smoke(arg: str) -> bool:
    path = Path(arg.partition("::")[0]).resolve()
    return HERE in (path, *path.parents)


def pytest_ignore_collect(collection_path, config):
    """Without a site to ask there is nothing to collect: `pytest tests` runs all other tests."""
    return None if asked_for(config) else True


def pytest_configure(config):
    if not asked_for(config):
        return
    config.stash[TABLE] = Table(HERE)
    config.pluginmanager.register(config.stash[TABLE])
    if all(_is_smoke(arg) for arg in config.args):
        _only_the_table(config)


def _only_the_table(config) -> None:
    """Leave all else away, unless -v or --tb ask for it."""
    if config.option.verbose == 0:
        config.option.verbose = -2
        config.option.reportchars = "N"
        config.stash[TABLE].alone = True
    if config.option.tbstyle == "auto":
        config.option.tbstyle = "no"


def pytest_terminal_summary(terminalreporter, config):
    if not asked_for(config):
        terminalreporter.write_line("smoke tests: run by tests/live; by hand: pytest tests/smoke --base-url URL")


def pytest_sessionstart(session):
    config = session.config
    if not asked_for(config) or config.option.collectonly:
        return
    if len(config.getoption("user")) != len(config.getoption("password")):
        raise pytest.UsageError(HALF_AN_ACCOUNT)
    site = Site(_site_url(config))
    try:
        answer = site.get("/healthz", status=set(range(100, 600)))
    except AssertionError as error:
        reason = str(error).partition(": ")[2]
        raise pytest.UsageError(NO_ANSWER.format(url=site.url, reason=reason)) from None
    config.stash[TABLE].where = f"at {site.url} by {_server_name(answer)}"


def _site_url(config) -> str:
    url = config.getoption("base_url") or DEFAULT_URL
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path.strip("/") or parts.query:
        raise pytest.UsageError(BAD_URL.format(url=url))
    return url.rstrip("/")


def _server_name(answer) -> str:
    try:
        return answer.json()["wsgi_server"]
    except (ValueError, TypeError, LookupError):
        return "a server that does not give its name"


@pytest.fixture(scope="session")
def base_url(request) -> str:
    return _site_url(request.config)


@pytest.fixture(scope="session")
def account(request, base_url):
    """Somebody with an account."""
    yield from _somebody(request.config, base_url, 0)


@pytest.fixture(scope="session")
def other(request, base_url):
    """Somebody else with an account."""
    yield from _somebody(request.config, base_url, 1)


def _somebody(config, base_url: str, number: int):
    """Yield the account of the first or second --user; or one that is made now and closed at the end."""
    given = list(zip(config.getoption("user"), config.getoption("password"), strict=True))[number : number + 1]
    account = Account(base_url, *given[0]) if given else Account.register(base_url)
    yield account
    if given:
        account.leave()
    else:
        account.close()


@pytest.fixture(scope="session")
def member(account) -> Site:
    """A visitor who is logged in."""
    return account.browser


@pytest.fixture(scope="session")
def program(account) -> Site:
    """A program of the member, which shows a token."""
    return account.program


@pytest.fixture
def site(base_url):
    """A new visitor of the site."""
    visitor = Site(base_url)
    yield visitor
    visitor.close()


@pytest.fixture
def stranger(base_url):
    """Another new visitor, for tests that need two."""
    visitor = Site(base_url)
    yield visitor
    visitor.close()


@pytest.fixture
def page(site) -> Page:
    """The first page."""
    return site.page()


@pytest.fixture
def sheet(page) -> str:
    """A style sheet of the page."""
    assert page.style_sheets, "the page names no style sheet under /static/"
    return page.style_sheets[0]


@pytest.fixture
def files(page) -> list[str]:
    """All static files that the page names."""
    assert page.static_files, "the page names no file under /static/"
    return page.static_files


@pytest.fixture
def marker(program):
    """A text that no other post contains. Posts that do, and all that `program` made, are deleted afterwards."""
    text = f"smoke-test-{uuid.uuid4().hex}"
    yield text
    program.delete_posts(text)


@pytest.fixture
def max_body(request) -> int:
    """The most bytes that the site takes in one request."""
    return request.config.getoption("max_body")
