"""The API: posts, users, pagination, validation errors, ETags and the OpenAPI description."""

import threading
from contextlib import suppress
from datetime import datetime, timedelta, timezone

import pytest

from app.api import posts
from app.blog.models import Post
from app.database import db, utc_now
from tests.unit.app.helpers import PASSWORD

POSTS = "/api/v1/posts"
USERS = "/api/v1/users"


@pytest.fixture
def write(client):
    """Return a function that publishes a post with the API and returns its URL."""

    def post(body: str, headers: dict) -> str:
        response = client.post(POSTS, json={"body": body}, headers=headers)
        assert response.status_code == 201
        return response.location

    return post


def test_post_is_created_read_and_deleted(client, alice):
    """POST answers 201 with a Location. That URL returns the post; DELETE answers 204, and then GET answers 404."""
    created = client.post(POSTS, json={"body": " Hello\r\n"}, headers=alice)
    assert (created.status_code, created.location) == (201, f"{POSTS}/1")
    assert (created.json["body"], created.json["author"], created.json["updated_at"]) == ("Hello", "alice", None)
    assert client.get(created.location).json == created.json
    deleted = client.delete(created.location, headers=alice)
    assert (deleted.status_code, deleted.data) == (204, b"")
    assert client.get(created.location).status_code == 404
    assert client.delete(created.location, headers=alice).status_code == 404


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_post_is_edited(client, alice, write, method):
    """PUT and PATCH change the text and set `updated_at`."""
    location = write("before", alice)
    changed = client.open(location, method=method, json={"body": "after"}, headers=alice)
    assert (changed.status_code, changed.json["body"]) == (200, "after")
    assert changed.json["updated_at"] > changed.json["created_at"]
    assert client.get(location).json == changed.json


def test_created_at(client, alice, write):
    """`created_at` is the current time in UTC, with an offset."""
    created_at = datetime.fromisoformat(client.get(write("now", alice)).json["created_at"])
    assert created_at.utcoffset() == timedelta(0)
    assert abs(datetime.now(timezone.utc) - created_at) < timedelta(minutes=1)


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
def test_only_the_author_can_change_a_post(client, alice, bob, write, method):
    """Other users get 403, and the post does not change."""
    location = write("mine", alice)
    refused = client.open(location, method=method, json={"body": "yours"}, headers=bob)
    assert (refused.status_code, refused.json["error"]) == (403, "This post belongs to another user.")
    assert client.get(location).json["body"] == "mine"


def test_hidden_post_is_404(client, app, alice, write):
    """A hidden post is 404 and in no list. Even its author cannot change it."""
    location = write("hidden", alice)
    with app.app_context():
        db.session.get(Post, 1).hidden_at = utc_now()
        db.session.commit()
    assert client.get(location).status_code == 404
    assert client.get(POSTS).json["posts"] == []
    assert client.patch(location, json={"body": "again"}, headers=alice).status_code == 404


# --- lists ------------------------------------------------------------------------------------------------------------


def follow_links(client, url: str, headers=None) -> list[dict]:
    """Return all posts of a list by following its Link headers."""
    posts = []
    while url:
        response = client.get(url, headers=headers)
        posts += response.json["posts"]
        links = dict(part.split("; ")[::-1] for part in response.headers["Link"].split(", "))
        url = links.get('rel="next"', "<>").strip("<>")
    return posts


def test_pagination_with_links(client, alice, write):
    """`Link` leads through the whole list, newest first, with each post once. It keeps the search and the limit."""
    for number in range(7):
        write(f"post {number}", alice)
    write("another", alice)
    found = follow_links(client, f"{POSTS}?limit=3&search=PoSt")
    assert [post["body"] for post in found] == [f"post {number}" for number in reversed(range(7))]


def test_posts_by_author(client, alice, bob, write):
    """The filter `author` and the list of a user's posts return only the posts of that user."""
    write("of alice", alice), write("of bob", bob)
    for url in (f"{POSTS}?author=bob", f"{USERS}/bob/posts"):
        assert [post["body"] for post in follow_links(client, url)] == ["of bob"]


def test_unknown_author(client):
    """An unknown author is 422 with an error for the field, not a list of all posts."""
    response = client.get(f"{POSTS}?author=nobody")
    assert (response.status_code, list(response.json["fields"])) == (422, ["author"])


def test_timeline(client, alice, bob, write):
    """The timeline contains the user's own posts and the posts of followed users, until they are unfollowed."""
    write("of alice", alice), write("of bob", bob)
    timeline = "/api/v1/timeline"
    assert [post["author"] for post in follow_links(client, timeline, alice)] == ["alice"]
    assert client.put(f"{USERS}/bob/follow", headers=alice).status_code == 204
    assert client.put(f"{USERS}/bob/follow", headers=alice).status_code == 204  # idempotent
    assert [post["author"] for post in follow_links(client, timeline, alice)] == ["bob", "alice"]
    assert client.delete(f"{USERS}/bob/follow", headers=alice).status_code == 204
    assert [post["author"] for post in follow_links(client, timeline, alice)] == ["alice"]


@pytest.mark.parametrize("value", ["0", "-1", "x", "101", "9" * 30, ""])
def test_invalid_limit(client, value):
    """`limit` is 1 to 100. Other values are 422 with an error for the field."""
    response = client.get(f"{POSTS}?limit={value}")
    assert (response.status_code, list(response.json["fields"])) == (422, ["limit"])


@pytest.mark.parametrize("search", ["", "%00", "x" * 101])
def test_invalid_search(client, search):
    """A search for text that no post can contain is 422 with an error for the field."""
    response = client.get(f"{POSTS}?search={search}")
    assert (response.status_code, list(response.json["fields"])) == (422, ["search"])


# --- users ------------------------------------------------------------------------------------------------------------


def test_private_fields(client, alice, bob):
    """Public views return only usernames and dates. Only /me returns the email address and the logins."""
    listed = client.get(f"{USERS}?limit=1")
    assert [user["username"] for user in listed.json["users"]] == ["bob"]
    assert 'rel="next"' in listed.headers["Link"]
    for public in (listed.json["users"][0], client.get(f"{USERS}/bob", headers=bob).json):
        assert set(public) == {"username", "created_at"}
    me = client.get("/api/v1/me", headers=bob).json
    assert (me["username"], me["email"], me["is_admin"]) == ("bob", "bob@example.com", False)


@pytest.mark.parametrize("name", ["nobody", "x", "ALICE", "%00", "a%20b", "é"])
@pytest.mark.parametrize("suffix", ["", "/posts"])
def test_unknown_user_is_404(client, alice, name, suffix):
    """An unknown or invalid username is 404 in JSON."""
    response = client.get(f"{USERS}/{name}{suffix}")
    assert (response.status_code, response.json) == (404, {"error": "Not Found", "fields": {}})


def test_users_that_cannot_be_followed(client, alice, add_api_user):
    """Following oneself or a closed account is 409. Following an unknown user is 404."""
    add_api_user("closed", active=False)
    for name, status in (("alice", 409), ("closed", 409), ("nobody", 404)):
        assert client.put(f"{USERS}/{name}/follow", headers=alice).status_code == status


# --- invalid input ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", ["", "  ", "x" * 501, "nul \0", "\ufffd", "\ud800", None, 1, ["text"], {"a": 1}, True])
def test_invalid_body(client, alice, body):
    """An invalid body is 422 with an error for the field."""
    response = client.post(POSTS, json={"body": body}, headers=alice)
    assert response.status_code == 422
    assert response.json["error"] == "Validation error"
    assert list(response.json["fields"]) == ["body"]
    assert all(isinstance(message, str) for message in response.json["fields"]["body"])


@pytest.mark.parametrize(("data", "field"), [({}, "body"), ({"body": "x", "author": "y"}, "author")])
def test_missing_and_unknown_fields(client, alice, data, field):
    """A missing or unknown field is 422 with an error for the field."""
    response = client.post(POSTS, json=data, headers=alice)
    assert (response.status_code, list(response.json["fields"])) == (422, [field])


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b'{"body": "\xff"}', b"[]", b'"text"', b"null", b"1", b"[" * 100_000, b'{"body": NaN x}'],
    ids=["empty", "broken", "not UTF-8", "list", "string", "null", "number", "deep", "not a number"],
)
def test_malformed_json(client, alice, data):
    """A request body that is not a valid JSON object is 422 with an error for "json"."""
    response = client.post(POSTS, data=data, content_type="application/json", headers=alice)
    assert (response.status_code, list(response.json["fields"])) == (422, ["json"])


@pytest.mark.parametrize("content_type", [None, "text/plain", "application/x-www-form-urlencoded"])
@pytest.mark.parametrize("path", [POSTS, "/api/v1/tokens"])
def test_other_content_types(client, alice, content_type, path):
    """Content types other than JSON are 415 in JSON."""
    response = client.post(path, data='{"body": "x"}', content_type=content_type, headers=alice)
    assert (response.status_code, list(response.json)) == (415, ["error", "fields"])


def test_too_large_body(make_app, database, add_api_user):
    """A request body that exceeds MAX_BODY_SIZE is 413 in JSON."""
    app = make_app(database, MAX_CONTENT_LENGTH=1000)
    response = app.test_client().post(POSTS, json={"body": "x" * 1000}, headers=add_api_user("alice", app))
    assert (response.status_code, response.json["error"]) == (413, "Request Entity Too Large")


@pytest.mark.parametrize("post_id", ["1", "0", "-1", "x", str(2**31), str(2**64), "9" * 5000])
def test_unknown_post_is_404(client, post_id):
    """An unknown or invalid id is 404 in JSON."""
    response = client.get(f"{POSTS}/{post_id}")
    assert (response.status_code, response.json) == (404, {"error": "Not Found", "fields": {}})


def test_routing_errors_are_json(client):
    """Below /api/, routing errors are JSON, and a 405 has the header Allow."""
    assert client.get("/api/").json == {"error": "Not Found", "fields": {}}
    response = client.put(POSTS, json={})
    assert (response.status_code, response.json["error"]) == (405, "Method Not Allowed")
    assert set(response.allow) == {"GET", "HEAD", "OPTIONS", "POST"}


def test_unhandled_exception_is_json(make_app, database):
    """An unhandled exception below /api/ is a 500 in JSON that does not reveal the reason."""
    app = make_app(database, PROPAGATE_EXCEPTIONS=False)
    app.add_url_rule("/api/crash", view_func=lambda: 1 / 0)
    response = app.test_client().get("/api/crash")
    assert (response.status_code, response.json) == (500, {"error": "Internal Server Error", "fields": {}})


# --- ETag -------------------------------------------------------------------------------------------------------------


def test_if_none_match(client, alice, write):
    """Every GET response has an ETag. With If-None-Match it is 304 without a body until the resource changes."""
    location = write("one", alice)
    for url in (location, POSTS, USERS, "/api/v1/me", "/api/v1/tokens", "/api/v1/timeline"):
        first = client.get(url, headers=alice)
        again = client.get(url, headers=alice | {"If-None-Match": first.headers["ETag"]})
        assert (first.status_code, again.status_code, again.data) == (200, 304, b""), url
        assert again.headers["ETag"] == first.headers["ETag"]
    tag = client.get(location).headers["ETag"]
    client.patch(location, json={"body": "two"}, headers=alice)
    assert client.get(location, headers={"If-None-Match": tag}).json["body"] == "two"


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
def test_if_match(client, alice, write, method):
    """With If-Match, a write is only applied if the resource has not changed (else 412). No update is lost."""
    location = write("one", alice)
    tag = client.get(location).headers["ETag"]
    changed = client.patch(location, json={"body": "two"}, headers=alice | {"If-Match": tag})
    assert changed.status_code == 200
    late = client.open(location, method=method, json={"body": "three"}, headers=alice | {"If-Match": tag})
    assert late.status_code == 412
    assert client.get(location).json["body"] == "two"
    in_time = alice | {"If-Match": changed.headers["ETag"]}
    assert client.open(location, method=method, json={"body": "three"}, headers=in_time).status_code in (200, 204)


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
def test_if_match_with_concurrent_requests(app, client, alice, write, monkeypatch, method):
    """Of two concurrent writes with the same If-Match, one is applied and the other one is 412. No update is lost."""
    location = write("one", alice)
    headers = alice | {"If-Match": client.get(location).headers["ETag"]}
    together, require_match = threading.Barrier(2), posts.require_match

    def require_match_together(*arguments):
        require_match(*arguments)
        with suppress(threading.BrokenBarrierError):  # the other request is waiting for the row lock
            together.wait(0.5)

    monkeypatch.setattr(posts, "require_match", require_match_together)
    answers = []

    def work(method: str):
        answer = app.test_client().open(location, method=method, json={"body": method}, headers=headers)
        answers.append(answer.status_code)

    threads = [threading.Thread(target=work, args=[name]) for name in ("PUT", method)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    applied, refused = sorted(answers)
    assert applied in (200, 204)
    assert refused == (404 if applied == 204 else 412)  # a deleted post no longer exists


def test_responses_are_private(client, alice, write):
    """Shared caches must not store responses. A new token must not be stored at all."""
    write("one", alice)
    assert client.get(POSTS, headers=alice).headers["Cache-Control"] == "no-cache, private"
    token = client.post("/api/v1/tokens", json={"name": "new"}, auth=("alice", PASSWORD))
    assert "no-store" in token.headers["Cache-Control"]


# --- the description --------------------------------------------------------------------------------------------------


def test_openapi_description(client):
    """openapi.json is OpenAPI 3.1 with the API's name and version. It describes only the API, and each schema once."""
    spec = client.get("/api/v1/openapi.json").json
    assert spec["openapi"].startswith("3.1.")
    assert (spec["info"]["title"], spec["info"]["version"]) == ("Tripod", "1")
    names = {"ErrorOut", "PostIn", "PostOut", "PostsOut", "TokenIn", "TokenOut", "TokensOut", "UserOut", "UsersOut"}
    assert set(spec["components"]["schemas"]) == names
    assert all(path.startswith("/api/v1/") for path in spec["paths"])
    assert spec["servers"] == [{"url": "/"}]


def test_described_authentication(client):
    """An operation rejects anonymous requests if, and only if, its description requires authentication."""
    spec = client.get("/api/v1/openapi.json").json
    for path, operations in spec["paths"].items():
        for method, operation in operations.items():
            url = path.format(post_id=1, token_id=1, username="alice")
            refused = client.open(url, method=method, json={}).status_code == 401
            assert refused == bool(operation.get("security")), f"{method} {path}"


def test_documentation_page(client):
    """The page lists every operation, without inline scripts, and without resources from other hosts."""
    spec, page = client.get("/api/v1/openapi.json").json, client.get("/api/v1/docs")
    assert (page.status_code, page.mimetype) == (200, "text/html")
    for path, operations in spec["paths"].items():
        for method in operations:
            assert f"{method.upper()} {path}" in page.text
    assert "://" not in page.text.replace("http://localhost/", "")
    assert page.text.count("<script") == page.text.count("<script src=")


def test_documentation_page_renders_inline_code(client):
    """Code spans of the CommonMark descriptions become <code> on the page. The JSON keeps the backticks."""
    spec, page = client.get("/api/v1/openapi.json").json, client.get("/api/v1/docs").text
    assert "`ETag`" in spec["info"]["description"]
    assert "<code>ETag</code>" in page
    assert "`" not in page
