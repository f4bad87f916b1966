"""Posts."""

from .client import POSTS


def test_form_publishes(site, marker):
    """A text sent by the form is on the page that the redirect leads to."""
    answer = site.fill_form_in(marker, {302, 303})
    assert marker in site.get(answer.headers["Location"]).text, "the text is not on the page"


def test_form_needs_token(site, marker):
    """The form without its CSRF token is refused with 400, and nothing is published."""
    site.get("/")  # for the cookie: only the token is missing
    site.submit({"body": marker}, 400)
    assert not site.find_posts(marker), "it was published nevertheless"


def test_token_belongs_to_visitor(site, stranger, marker):
    """The form with the CSRF token of another visitor is refused with 400."""
    site.get("/")  # for a session of one's own
    site.submit({"csrf_token": stranger.page().fields.get("csrf_token"), "body": marker}, 400)


def test_text_is_escaped(site, marker):
    """A text that looks like HTML is shown as text."""
    site.fill_form_in(f"<script>{marker}</script>", {302, 303})
    html = site.get("/").text
    assert marker in html, "the text is not on the page"
    assert f"<script>{marker}" not in html, "the browser would run it"


def test_api_life_of_a_post(site, marker):
    """The API creates a post (201, Location), reads, lists and deletes it (204); then it is gone (404)."""
    created = site.request("POST", POSTS, 201, json={"body": marker})
    location = created.headers.get("Location", "")
    assert site.is_here(location), f"Location is {location!r}"
    assert site.get(location).json() == created.json(), "it reads differently from what was created"
    assert created.json()["body"] == marker, "its text is not what was sent"
    assert site.find_posts(marker) == [created.json()], "it is not in the list, or not once"
    site.request("DELETE", location, 204)
    site.get(location, 404)
