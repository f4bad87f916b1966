"""Pages."""

import re

import pytest


def test_page_is_html(site):
    """The home page is HTML in UTF-8 with status 200."""
    content_type = site.get("/").headers.get("Content-Type", "")
    assert content_type.lower().replace(" ", "") == "text/html;charset=utf-8", f"Content-Type is {content_type!r}"


def test_page_content(page):
    """The home page has a title, and a style sheet below /static/."""
    assert page.title.strip(), "there is no title"
    assert page.style_sheets, "there is no style sheet below /static/"


def test_page_of_member(member):
    """Authenticated users get a form with a CSRF token on the home page."""
    page = member.page()
    assert page.fields.get("csrf_token"), "there is no field csrf_token"
    assert "body" in page.fields, "there is no field body"


@pytest.mark.parametrize("path", ["/", "/no-such-page"])
def test_content_security_policy(site, path):
    """Pages forbid inline scripts and styles (Content-Security-Policy)."""
    policy = site.get(path, {200, 404}).headers.get("Content-Security-Policy", "")
    assert "default-src" in policy, "there is no Content-Security-Policy with a default-src"
    assert "unsafe-" not in policy, f"the policy is {policy!r}"


@pytest.mark.parametrize("path", ["/", "/no-such-page", "/api/v1/posts", "/static/no-such-file.css"])
def test_nosniff(site, path):
    """Browsers must not guess content types (X-Content-Type-Options: nosniff)."""
    value = site.get(path, {200, 404}).headers.get("X-Content-Type-Options")
    assert value == "nosniff", f"it is {value!r}"


def test_referrer_policy(site):
    """Other sites do not get the full URL of a page (Referrer-Policy)."""
    policy = site.get("/").headers.get("Referrer-Policy")
    accepted = {"no-referrer", "origin", "origin-when-cross-origin", "same-origin", "strict-origin"}
    assert policy in accepted | {"strict-origin-when-cross-origin"}, f"it is {policy!r}"


@pytest.mark.parametrize("path", ["/", "/no-such-page", "/static/no-such-file.css"])
def test_no_version(site, path):
    """Headers do not reveal versions."""
    headers = site.get(path, {200, 404}).headers
    assert not re.search(r"\d", headers.get("Server", "")), f"Server: {headers['Server']}"
    assert "X-Powered-By" not in headers, f"X-Powered-By: {headers['X-Powered-By']}"


def test_cookie_flags(site):
    """The session cookie is HttpOnly and SameSite, and Secure if the site uses HTTPS."""
    cookies = site.get("/login").raw.headers.getlist("Set-Cookie")
    assert cookies, "the page sets no cookie"
    for cookie in cookies:
        flags = {part.partition("=")[0].strip().lower() for part in cookie.split(";")[1:]}
        required = {"httponly", "samesite"} | ({"secure"} if site.url.startswith("https:") else set())
        assert required <= flags, f"the cookie lacks {', '.join(sorted(required - flags))}"
