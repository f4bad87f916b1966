"""Redirects."""

from posixpath import dirname

from .client import REDIRECT

REDIRECTS = {301, 302, 303, 307, 308}
OTHER_HOST = "shop.example:8443"


def test_form(site, member, marker):
    """The redirect of the form keeps the scheme, host and port of the request."""
    _expect_same_origin(member, member.publish(marker, REDIRECT))
    # A public site accepts only its own names. A local one accepts any host unless ALLOWED_HOSTS is set (400).
    if site.local and site.get("/", {200, 400}, headers={"Host": OTHER_HOST}).status_code == 200:
        _expect_same_origin(member, member.publish(marker, REDIRECT, Host=OTHER_HOST), OTHER_HOST)


def test_folder(site, sheet):
    """A folder of static files is not served, and does not redirect to another scheme, host or port."""
    folder = dirname(sheet)
    response = site.get(folder, {403, 404} | REDIRECTS)
    if response.status_code in REDIRECTS:
        _expect_same_origin(site, response)
    site.get(folder + "/", {403, 404})


def _expect_same_origin(site, response, host: str | None = None) -> None:
    location = response.headers.get("Location", "")
    assert site.has_same_origin(location, host), f"Location is {location!r}"
