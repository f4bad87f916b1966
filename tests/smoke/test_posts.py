"""Posts."""

from .client import POSTS, REDIRECT


def test_form_publishes(site, member, marker):
    """A post that was submitted with the form is on the page after the redirect, also for anonymous clients."""
    response = member.publish(marker, REDIRECT)
    site.page_with(marker, response.headers["Location"])


def test_form_needs_token(member, marker):
    """The form is rejected without the CSRF token (400), and nothing is published."""
    member.submit({"body": marker}, 400)
    assert not member.find_posts(marker), "the post was published"


def test_csrf_token_of_another_client(member, other_client, marker):
    """The form is rejected with the CSRF token of another client (400)."""
    member.submit({"csrf_token": other_client.page("/login").fields.get("csrf_token"), "body": marker}, 400)


def test_form_needs_member(site, marker):
    """An anonymous client that submits the form is redirected to the login page, and nothing is published."""
    token = site.page("/login").fields.get("csrf_token")
    location = site.submit({"csrf_token": token, "body": marker}, REDIRECT).headers["Location"]
    assert "/login" in location, f"Location is {location!r}"
    assert not site.find_posts(marker), "the post was published"


def test_text_is_escaped(site, member, marker):
    """HTML in a post is escaped."""
    member.publish(f"<script>{marker}</script>", REDIRECT)
    assert f"<script>{marker}" not in site.page_with(marker), "the HTML is not escaped"


def test_api_life_of_a_post(site, program, marker):
    """The API creates (201, Location), reads, edits, lists and deletes (204) a post. Then it is 404."""
    created = program.request("POST", POSTS, 201, json={"body": marker})
    location = created.headers.get("Location", "")
    assert site.has_same_origin(location), f"Location is {location!r}"
    assert site.get(location).json() == created.json(), "the post differs from the created one"
    assert created.json()["body"] == marker, "the text differs from the sent one"
    changed = program.request("PATCH", location, json={"body": f"{marker}, changed"})
    assert site.find_posts(marker) == [changed.json()], "the list does not contain the post exactly once"
    program.request("DELETE", location, 204)
    site.get(location, 404)


def test_api_creates_once(program, marker):
    """A POST that is retried with its Idempotency-Key gets the same response and creates no second post."""
    sent = {"json": {"body": marker}, "headers": {"Idempotency-Key": marker}}
    first, second = program.request("POST", POSTS, 201, **sent), program.request("POST", POSTS, 201, **sent)
    assert first.json() == second.json(), "the responses differ"
    assert program.find_posts(marker) == [first.json()], "there is a second post"


def test_api_not_modified(site, program, marker):
    """If-None-Match gets 304 if the post has not changed. If-Match gets 412 if it has."""
    location = program.request("POST", POSTS, 201, json={"body": marker}).headers["Location"]
    tag = site.get(location).headers.get("ETag", "")
    assert tag, "the post has no ETag"
    site.get(location, 304, headers={"If-None-Match": tag})
    program.request("PATCH", location, json={"body": f"{marker}, changed"})
    program.request("PATCH", location, 412, json={"body": marker}, headers={"If-Match": tag})


def test_posts_are_their_authors(site, other, program, marker):
    """Other users cannot edit or delete a post (403), and anonymous clients cannot either (401)."""
    location = program.request("POST", POSTS, 201, json={"body": marker}).headers["Location"]
    for client, status in ((other.program, 403), (site, 401)):
        client.request("PATCH", location, status, json={"body": "x"})
        client.request("DELETE", location, status)
    assert site.get(location).json()["body"] == marker, "the post has changed"
