"""Accessibility and layout of every page, on phone and desktop, in light and dark mode.

axe-core reports no serious findings, and no page is wider than the window.
"""

import re

import pytest

from app import create_app
from tests.browser.conftest import ADMIN
from tests.browser.test_story import log_in

WIDTHS = (390, 1280)
THEMES = {"light": (), "dark": ("color-contrast", "link-in-text-block")}  # rules; dark mode differs only in colors
ANONYMOUS = {
    "timeline": "/",
    "older": "/?before=40",
    "post": "/posts/7",
    "profile": "/users/{someone}",
    "search": "/search?q=bridge",
    "nothing found": "/search?q=nothing-like-this",
    "log in": "/login",
    "register": "/register",
    "reset password": "/reset",
    "new password": "{reset}",
    "confirm": "/confirm",
    "not found": "/nothing-here",
    "API": "/api/v1/docs",
}
AUTHENTICATED = {
    "timeline with form": "/",
    "following": "/following",
    "edit": "/posts/{own}/edit",
    "delete": "/posts/{own}/delete",
    "account": "/account",
    "password": "/change",
    "close account": "/account/deactivate",
    "password again": "/verify",
    "sessions": "/account/sessions",
    "tokens": "/account/tokens",
    "admin": "/admin",
    "admin users": "/admin/users",
    "admin user": "/admin/users/1",
    "admin events": "/admin/events",
    "admin posts": "/admin/posts",
    "admin post": "/admin/posts/7",
}


@pytest.fixture(scope="module")
def names(site, window) -> dict[str, str]:
    """Return the values of the placeholders in the paths above."""
    window.delete_cookies()
    window.visit("/")
    someone = window.find(".author").text
    window.visit("/reset")
    window.fill(email=ADMIN["email"])
    window.press("Send link")
    reset = site.mailed_link(ADMIN["email"], "/reset/")
    log_in(window, **ADMIN)
    window.visit("/")
    window.fill(
        body="A post by the admin, with https://example.com/a-rather-long-address/that/has/to/be/broken/somewhere"
    )
    window.press("Publish")
    own = re.search(r"\d+$", window.find(".post .when").get_attribute("href"))[0]
    return {"someone": someone, "own": own, "reset": reset}


@pytest.fixture
def anonymous(names, window):
    window.delete_cookies()


@pytest.mark.parametrize("name", ANONYMOUS)
def test_anonymous_page(anonymous, browser, names, name, request):
    """Pages for anonymous clients are accessible on all screens."""
    check(browser, ANONYMOUS[name].format_map(names), name, request.config.getoption("screenshots", None))
    assert not is_logged_in(browser)


@pytest.fixture(scope="module")
def session(names, window) -> list[dict]:
    """The cookies of the admin."""
    window.delete_cookies()  # the page of the login is only for anonymous clients
    log_in(window, **ADMIN)
    return window.driver.get_cookies()


@pytest.fixture
def authenticated(session, window):
    for cookie in session:
        window.driver.add_cookie(cookie)


@pytest.mark.parametrize("name", AUTHENTICATED)
def test_authenticated_page(authenticated, browser, names, name, request):
    """Pages for authenticated users and admins are accessible on all screens."""
    check(browser, AUTHENTICATED[name].format_map(names), name, request.config.getoption("screenshots", None))
    assert is_logged_in(browser)


def is_logged_in(browser) -> bool:
    """Return whether the page has the account menu."""
    return bool(browser.driver.find_elements("css selector", "details.menu"))


def check(browser, path, name, folder) -> None:
    violations = {}
    for width in WIDTHS:
        browser.emulate(width, "light")
        browser.visit(path)
        for theme, rules in THEMES.items():
            browser.emulate(width, theme)
            violations[f"{width} {theme}"] = browser.violations(rules)
            if folder:
                folder.mkdir(parents=True, exist_ok=True)
                browser.screenshot(folder / f"{name.replace(' ', '-')}-{width}-{theme}.png")
        assert browser.overflow() <= 0, f"{path} is wider than {width} pixels"
    if name == "not found":  # the console reports the status
        assert all("404" in error for error in browser.console_errors())
    assert {variant: found for variant, found in violations.items() if found} == {}


def test_all_pages_are_listed():
    """The lists above contain every page of the app."""
    app = create_app({"TESTING": True, "SECRET_KEY": "only for tests", "SQLALCHEMY_DATABASE_URI": "sqlite://"})
    paths = [
        path.partition("?")[0].format(someone="a", own="1", reset="/reset/x")
        for path in (*ANONYMOUS.values(), *AUTHENTICATED.values())
    ]
    adapter = app.url_map.bind("localhost")
    listed = {adapter.match(path)[0] for path in paths if adapter.test(path)}
    pages = {rule.endpoint for rule in app.url_map.iter_rules() if "GET" in rule.methods and is_page(rule)}
    assert pages - listed == set()


def is_page(rule) -> bool:
    return not rule.rule.startswith(("/static/", "/api/", "/readyz", "/openapi", "/confirm/<"))
