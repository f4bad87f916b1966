"""Posts."""

from .client import POSTS, REDIRECT


def test_form_publishes(site, member, marker):
    """A text sent by the form is on the page that the redirect leads to, for strangers too."""
    answer = member.publish(marker, REDIRECT)
    site.page_with(marker, answer.headers["Location"])


def test_form_needs_token(member, marker):
    """The form without its CSRF token is refused with 400, and nothing is published."""
    member.submit({"body": marker}, 400)
    assert not member.find_posts(marker), "it was published nevertheless"


def test_token_belongs_to_visitor(member, stranger, marker):
    """The form with the CSRF token of another visitor is refused with 400."""
    member.submit({"csrf_token": stranger.page("/login").fields.get("csrf_token"), "body": marker}, 400)


def test_form_needs_member(site, marker):
    """A stranger who sends the form is led to the log-in, and nothing is published."""
    token = site.page("/login").fields.get("csrf_token")
    answer = site.submit({"csrf_token": token, "body": marker}, REDIRECT)
    assert "/login" in answer.headers["Location"], f"Location is {answer.headers['Location']!r}"
    assert not site.find_posts(marker), "it was published nevertheless"


def test_text_is_escaped(site, member, marker):
    """A text that looks like HTML is shown as text."""
    member.publish(f"<script>{marker}</script>", REDIRECT)
    assert f"<script>{marker}" not in site.page_with(marker), "the browser would run it"


def test_api_life_of_a_post(site, program, marker):
    """The API creates a post (201, Location), reads, changes, lists and deletes it (204); then it is gone (404)."""
    created = program.request("POST", POSTS, 201, json={"body": marker})
    location = created.headers.get("Location", "")
    assert site.is_here(location), f"Location is {location!r}"
    assert site.get(location).json() == created.json(), "it reads differently from what was created"
    assert created.json()["body"] == marker, "its text is not what was sent"
    changed = program.request("PATCH", location, json={"body": f"{marker}, changed"})
    assert site.find_posts(marker) == [changed.json()], "it is not in the list, or not once"
    program.request("DELETE", location, 204)
    site.get(location, 404)


def test_api_creates_once(program, marker):
    """A POST that is sent again with its Idempotency-Key gets the first answer, and makes no second post."""
    sent = {"json": {"body": marker}, "headers": {"Idempotency-Key": marker}}
    first, second = program.request("POST", POSTS, 201, **sent), program.request("POST", POSTS, 201, **sent)
    assert first.json() == second.json(), "the second answer is another one"
    assert program.find_posts(marker) == [first.json()], "there is another post"


def test_api_not_modified(site, program, marker):
    """A post that has not changed is not sent again (ETag, 304); a change that comes too late is refused (412)."""
    location = program.request("POST", POSTS, 201, json={"body": marker}).headers["Location"]
    tag = site.get(location).headers.get("ETag", "")
    assert tag, "the post has no ETag"
    site.get(location, 304, headers={"If-None-Match": tag})
    program.request("PATCH", location, json={"body": f"{marker}, changed"})
    program.request("PATCH", location, 412, json={"body": marker}, headers={"If-Match": tag})


def test_posts_are_their_authors(site, other, program, marker):
    """Somebody else may not change or delete a post (403), a stranger even less (401)."""
    location = program.request("POST", POSTS, 201, json={"body": marker}).headers["Location"]
    for visitor, status in ((other.program, 403), (site, 401)):
        visitor.request("PATCH", location, status, json={"body": "x"})
        visitor.request("DELETE", location, status)
    assert site.get(location).json()["body"] == marker, "it has changed"
