"""The page."""

import re

import pytest


def test_page_is_html(site):
    """The first page is HTML in UTF-8, answered with 200."""
    kind = site.get("/").headers.get("Content-Type", "")
    assert kind.lower().replace(" ", "") == "text/html;charset=utf-8", f"its type is {kind!r}"


def test_page_content(page):
    """The first page has a title, and a style sheet under /static/."""
    assert page.title.strip(), "there is no title"
    assert page.style_sheets, "there is no style sheet under /static/"


def test_page_of_member(member):
    """Who is logged in gets a form on the first page, with its CSRF token."""
    page = member.page()
    assert page.fields.get("csrf_token"), "there is no csrf_token field"
    assert "body" in page.fields, "there is no field for the text"


@pytest.mark.parametrize("path", ["/", "/no-such-page"])
def test_content_security_policy(site, path):
    """Pages forbid the browser all inline scripts and styles."""
    policy = site.get(path, {200, 404}).headers.get("Content-Security-Policy", "")
    assert "default-src" in policy, "there is no Content-Security-Policy with a default-src"
    assert "unsafe-" not in policy, f"the policy is {policy!r}"


@pytest.mark.parametrize("path", ["/", "/no-such-page", "/api/v1/posts", "/static/no-such-file.css"])
def test_nosniff(site, path):
    """No answer lets the browser guess its type (X-Content-Type-Options: nosniff)."""
    value = site.get(path, {200, 404}).headers.get("X-Content-Type-Options")
    assert value == "nosniff", f"it is {value!r}"


def test_referrer_policy(site):
    """The page's full address is not told to other sites (Referrer-Policy)."""
    policy = site.get("/").headers.get("Referrer-Policy")
    private = {"no-referrer", "origin", "origin-when-cross-origin", "same-origin", "strict-origin"}
    assert policy in private | {"strict-origin-when-cross-origin"}, f"it is {policy!r}"


@pytest.mark.parametrize("path", ["/", "/no-such-page", "/static/no-such-file.css"])
def test_no_version(site, path):
    """No header gives a version away."""
    headers = site.get(path, {200, 404}).headers
    assert not re.search(r"\d", headers.get("Server", "")), f"Server: {headers['Server']}"
    assert "X-Powered-By" not in headers, f"X-Powered-By: {headers['X-Powered-By']}"


def test_cookie_flags(site):
    """The session cookie is HttpOnly and SameSite, and Secure where the site has TLS."""
    cookies = site.get("/login").raw.headers.getlist("Set-Cookie")
    assert cookies, "the page sets no cookie"
    for cookie in cookies:
        flags = {part.partition("=")[0].strip().lower() for part in cookie.split(";")[1:]}
        wanted = {"httponly", "samesite"} | ({"secure"} if site.url.startswith("https:") else set())
        assert wanted <= flags, f"the cookie lacks {', '.join(sorted(wanted - flags))}"
