"""Every page, on a phone and on a desktop, light and dark: axe-core finds nothing serious, and nothing is cut off."""

import re

import pytest

from app import create_app
from tests.browser.conftest import ADMIN
from tests.browser.test_story import log_in

WIDTHS = (390, 1280)
THEMES = {"light": (), "dark": ("color-contrast", "link-in-text-block")}  # in the second only colours are others
VISITOR = {
    "notes": "/",
    "older": "/?before=40",
    "note": "/posts/7",
    "profile": "/users/{someone}",
    "search": "/search?q=bridge",
    "nothing found": "/search?q=nothing-like-this",
    "log in": "/login",
    "join": "/register",
    "forgotten password": "/reset",
    "new password": "{reset}",
    "confirm": "/confirm",
    "not found": "/nothing-here",
    "API": "/api/v1/docs",
}
MEMBER = {
    "notes with form": "/",
    "following": "/following",
    "edit": "/posts/{own}/edit",
    "delete": "/posts/{own}/delete",
    "account": "/account",
    "password": "/change",
    "close account": "/account/deactivate",
    "tokens": "/account/tokens",
    "admin": "/admin",
    "admin users": "/admin/users",
    "admin user": "/admin/users/1",
    "admin posts": "/admin/posts",
    "admin post": "/admin/posts/7",
}


@pytest.fixture(scope="module")
def names(site, window) -> dict[str, str]:
    """What stands for the {words} of the addresses above; logged in as the admin when all is found."""
    window.forget()
    window.visit("/")
    someone = window.find(".author").text
    window.visit("/reset")
    window.fill(email=ADMIN["email"])
    window.press("Send the link")
    reset = site.mailed_link(ADMIN["email"], "/reset/")
    log_in(window, **ADMIN)
    window.visit("/")
    window.fill(
        body="A note of one's own, with https://example.com/a-rather-long-address/that/has/to/be/broken/somewhere"
    )
    window.press("Publish")
    own = re.search(r"\d+$", window.find(".post .when").get_attribute("href"))[0]
    return {"someone": someone, "own": own, "reset": reset}


@pytest.fixture(scope="module")
def visitor(names, window):
    window.forget()
    return window


@pytest.mark.parametrize("name", VISITOR)
def test_visitors_page(visitor, browser, names, name, request):
    """What a visitor sees can be read by everybody, on every screen."""
    check(browser, VISITOR[name].format_map(names), name, request.config.getoption("screenshots", None))


@pytest.fixture(scope="module")
def member(visitor):
    log_in(visitor, **ADMIN)
    return visitor


@pytest.mark.parametrize("name", MEMBER)
def test_members_page(member, browser, names, name, request):
    """What a member, or an admin, sees can be read by everybody, on every screen."""
    check(browser, MEMBER[name].format_map(names), name, request.config.getoption("screenshots", None))


def check(browser, path, name, folder) -> None:
    found = {}
    for width in WIDTHS:
        browser.look(width, "light")
        browser.visit(path)
        for theme, rules in THEMES.items():
            browser.look(width, theme)
            found[f"{width} {theme}"] = browser.violations(rules)
            if folder:
                folder.mkdir(parents=True, exist_ok=True)
                browser.screenshot(folder / f"{name.replace(' ', '-')}-{width}-{theme}.png")
        assert browser.overflow() <= 0, f"{width} pixels are too few for {path}"
    if name == "not found":  # the console tells of the status
        assert all("404" in complaint for complaint in browser.complaints())
    assert {where: what for where, what in found.items() if what} == {}


def test_no_page_is_left_out():
    """Every address of the app that a browser can ask for is in the lists above."""
    app = create_app({"TESTING": True, "SECRET_KEY": "only for tests", "SQLALCHEMY_DATABASE_URI": "sqlite://"})
    asked = [
        path.partition("?")[0].format(someone="a", own="1", reset="/reset/x")
        for path in (*VISITOR.values(), *MEMBER.values())
    ]
    adapter = app.url_map.bind("localhost")
    seen = {adapter.match(path)[0] for path in asked if adapter.test(path)}
    pages = {rule.endpoint for rule in app.url_map.iter_rules() if "GET" in rule.methods and is_page(rule)}
    assert pages - seen == set()


def is_page(rule) -> bool:
    return not rule.rule.startswith(("/static/", "/api/", "/readyz", "/openapi", "/confirm/<"))
