"""Redirects."""

from posixpath import dirname

from .client import REDIRECT

REDIRECTS = {301, 302, 303, 307, 308}
OTHER_HOST = "shop.example:8443"


def test_form(site, member, marker):
    """The form's redirect keeps the scheme, host and port that were asked for."""
    _expect_kept(member, member.publish(marker, REDIRECT))
    # A site in the world has its own names alone; one on this machine takes any, but for ALLOWED_HOSTS (400).
    if site.local and site.get("/", {200, 400}, headers={"Host": OTHER_HOST}).status_code == 200:
        _expect_kept(member, member.publish(marker, REDIRECT, Host=OTHER_HOST), OTHER_HOST)


def test_folder(site, sheet):
    """A folder of static files is not served, nor does it lead to another scheme, host or port."""
    folder = dirname(sheet)
    answer = site.get(folder, {403, 404} | REDIRECTS)
    if answer.status_code in REDIRECTS:
        _expect_kept(site, answer)
    site.get(folder + "/", {403, 404})


def _expect_kept(site, answer, host: str | None = None) -> None:
    location = answer.headers.get("Location", "")
    assert site.is_here(location, host), f"Location is {location!r}"
