"""The API: each status of posts and users, errors that name the field, paging, ETags, the description."""

from datetime import datetime, timedelta, timezone

import pytest

from app.blog.models import Post
from app.database import db, utc_now

POSTS = "/api/v1/posts"
USERS = "/api/v1/users"


@pytest.fixture
def write(client):
    """Return a function that publishes a post by the API, and returns its address."""

    def post(body: str, headers: dict) -> str:
        response = client.post(POSTS, json={"body": body}, headers=headers)
        assert response.status_code == 201
        return response.location

    return post


def test_a_post_is_created_read_and_deleted(client, alice):
    """POST gives 201 and a Location; that address gives the post, then 204 to DELETE, then 404."""
    created = client.post(POSTS, json={"body": " Hello\r\n"}, headers=alice)
    assert (created.status_code, created.location) == (201, f"{POSTS}/1")
    assert (created.json["body"], created.json["author"], created.json["updated_at"]) == ("Hello", "alice", None)
    assert client.get(created.location).json == created.json
    deleted = client.delete(created.location, headers=alice)
    assert (deleted.status_code, deleted.data) == (204, b"")
    assert client.get(created.location).status_code == 404
    assert client.delete(created.location, headers=alice).status_code == 404


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_a_post_is_changed(client, alice, write, method):
    """PUT and PATCH change the text, and the post tells that it has been changed."""
    location = write("before", alice)
    changed = client.open(location, method=method, json={"body": "after"}, headers=alice)
    assert (changed.status_code, changed.json["body"]) == (200, "after")
    assert changed.json["updated_at"] > changed.json["created_at"]
    assert client.get(location).json == changed.json


def test_a_post_tells_when_it_was_made(client, alice, write):
    """`created_at` is the present moment, in UTC and with its offset."""
    created_at = datetime.fromisoformat(client.get(write("now", alice)).json["created_at"])
    assert created_at.utcoffset() == timedelta(0)
    assert abs(datetime.now(timezone.utc) - created_at) < timedelta(minutes=1)


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
def test_only_the_author_changes_a_post(client, alice, bob, write, method):
    """Somebody else gets 403, and the post stays what it was."""
    location = write("mine", alice)
    refused = client.open(location, method=method, json={"body": "yours"}, headers=bob)
    assert (refused.status_code, refused.json["error"]) == (403, "This post is somebody else's.")
    assert client.get(location).json["body"] == "mine"


def test_a_hidden_post_is_gone_for_all(client, app, alice, write):
    """What an admin has hidden is 404, in no list, and cannot be changed even by its author."""
    location = write("hidden", alice)
    with app.app_context():
        db.session.get(Post, 1).hidden_at = utc_now()
        db.session.commit()
    assert client.get(location).status_code == 404
    assert client.get(POSTS).json["posts"] == []
    assert client.patch(location, json={"body": "again"}, headers=alice).status_code == 404


# --- lists ------------------------------------------------------------------------------------------------------------


def follow_links(client, url: str, headers=None) -> list[dict]:
    """Return all posts of a list, read by its Link headers."""
    posts = []
    while url:
        response = client.get(url, headers=headers)
        posts += response.json["posts"]
        links = dict(part.split("; ")[::-1] for part in response.headers["Link"].split(", "))
        url = links.get('rel="next"', "<>").strip("<>")
    return posts


def test_posts_are_paged_by_links(client, alice, write):
    """`Link` leads through the whole list, newest first, each post once, the search and limit kept."""
    for number in range(7):
        write(f"post {number}", alice)
    write("another", alice)
    found = follow_links(client, f"{POSTS}?limit=3&search=PoSt")
    assert [post["body"] for post in found] == [f"post {number}" for number in reversed(range(7))]


def test_posts_are_listed_by_author(client, alice, bob, write):
    """`author` and the address of a person's posts give the same: theirs alone."""
    write("of alice", alice), write("of bob", bob)
    for url in (f"{POSTS}?author=bob", f"{USERS}/bob/posts"):
        assert [post["body"] for post in follow_links(client, url)] == ["of bob"]


def test_an_unknown_author_is_named(client):
    """An author who does not exist is 422 and named, not a list of everything."""
    response = client.get(f"{POSTS}?author=nobody")
    assert (response.status_code, list(response.json["fields"])) == (422, ["author"])


def test_the_timeline_is_of_those_one_follows(client, alice, bob, write):
    """The timeline has one's own posts and those of the people one follows; who stops following loses them."""
    write("of alice", alice), write("of bob", bob)
    timeline = "/api/v1/timeline"
    assert [post["author"] for post in follow_links(client, timeline, alice)] == ["alice"]
    assert client.put(f"{USERS}/bob/follow", headers=alice).status_code == 204
    assert client.put(f"{USERS}/bob/follow", headers=alice).status_code == 204  # a second time does no harm
    assert [post["author"] for post in follow_links(client, timeline, alice)] == ["bob", "alice"]
    assert client.delete(f"{USERS}/bob/follow", headers=alice).status_code == 204
    assert [post["author"] for post in follow_links(client, timeline, alice)] == ["alice"]


@pytest.mark.parametrize("value", ["0", "-1", "x", "101", "9" * 30, ""])
def test_a_bad_page_size_is_named(client, value):
    """limit is 1 to 100; anything else is 422 and names the field."""
    response = client.get(f"{POSTS}?limit={value}")
    assert (response.status_code, list(response.json["fields"])) == (422, ["limit"])


@pytest.mark.parametrize("search", ["", "%00", "x" * 101])
def test_a_bad_search_is_named(client, search):
    """What no post can hold cannot be looked for: 422, on PostgreSQL too, which could not even be asked."""
    response = client.get(f"{POSTS}?search={search}")
    assert (response.status_code, list(response.json["fields"])) == (422, ["search"])


# --- people -----------------------------------------------------------------------------------------------------------


def test_people_are_public_but_for_what_is_theirs(client, alice, bob):
    """The list and each person show names; email and log-ins are told to oneself alone, at /me."""
    listed = client.get(f"{USERS}?limit=1")
    assert [user["username"] for user in listed.json["users"]] == ["bob"]
    assert 'rel="next"' in listed.headers["Link"]
    for public in (listed.json["users"][0], client.get(f"{USERS}/bob", headers=bob).json):
        assert set(public) == {"username", "created_at"}
    me = client.get("/api/v1/me", headers=bob).json
    assert (me["username"], me["email"], me["is_admin"]) == ("bob", "bob@example.com", False)


@pytest.mark.parametrize("name", ["nobody", "x", "ALICE", "%00", "a%20b", "é"])
@pytest.mark.parametrize("suffix", ["", "/posts"])
def test_an_unknown_person_is_404(client, alice, name, suffix):
    """Whatever stands in place of the name, a person who is not there is 404, as JSON."""
    response = client.get(f"{USERS}/{name}{suffix}")
    assert (response.status_code, response.json) == (404, {"error": "Not Found", "fields": {}})


def test_who_cannot_be_followed(client, alice, join):
    """Following oneself, or an account that is closed, is 409; somebody unknown is 404."""
    join("closed", active=False)
    for name, status in (("alice", 409), ("closed", 409), ("nobody", 404)):
        assert client.put(f"{USERS}/{name}/follow", headers=alice).status_code == status


# --- bad input --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", ["", "  ", "x" * 501, "nul \0", "\ufffd", "\ud800", None, 1, ["text"], {"a": 1}, True])
def test_a_bad_body_is_named(client, alice, body):
    """A body that cannot be stored is 422, with the reason under the field's name."""
    response = client.post(POSTS, json={"body": body}, headers=alice)
    assert response.status_code == 422
    assert response.json["error"] == "Validation error"
    assert list(response.json["fields"]) == ["body"]
    assert all(isinstance(message, str) for message in response.json["fields"]["body"])


@pytest.mark.parametrize(("data", "field"), [({}, "body"), ({"body": "x", "author": "y"}, "author")])
def test_missing_and_unknown_fields_are_named(client, alice, data, field):
    """A field that is missing or not known is 422 and named."""
    response = client.post(POSTS, json=data, headers=alice)
    assert (response.status_code, list(response.json["fields"])) == (422, [field])


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b'{"body": "\xff"}', b"[]", b'"text"', b"null", b"1", b"[" * 100_000, b'{"body": NaN x}'],
    ids=["empty", "broken", "not UTF-8", "list", "string", "null", "number", "deep", "not a number"],
)
def test_a_body_that_is_no_json_object_is_named(client, alice, data):
    """A request whose JSON cannot be read, or is no object, is 422 under the name "json"."""
    response = client.post(POSTS, data=data, content_type="application/json", headers=alice)
    assert (response.status_code, list(response.json["fields"])) == (422, ["json"])


@pytest.mark.parametrize("content_type", [None, "text/plain", "application/x-www-form-urlencoded"])
@pytest.mark.parametrize("path", [POSTS, "/api/v1/tokens"])
def test_other_content_types_are_refused(client, alice, content_type, path):
    """Only JSON is taken: everything else is 415, as JSON."""
    response = client.post(path, data='{"body": "x"}', content_type=content_type, headers=alice)
    assert (response.status_code, list(response.json)) == (415, ["error", "fields"])


def test_too_large_a_body_is_refused(make_app, sqlite_url, join):
    """A body beyond MAX_BODY_SIZE is 413, as JSON."""
    app = make_app(sqlite_url, MAX_CONTENT_LENGTH=1000)
    response = app.test_client().post(POSTS, json={"body": "x" * 1000}, headers=join("alice", app))
    assert (response.status_code, response.json["error"]) == (413, "Request Entity Too Large")


@pytest.mark.parametrize("post_id", ["1", "0", "-1", "x", str(2**31), str(2**64), "9" * 5000])
def test_an_absent_post_is_404(client, post_id):
    """Whatever stands in place of the id, a post that is not there is 404, as JSON."""
    response = client.get(f"{POSTS}/{post_id}")
    assert (response.status_code, response.json) == (404, {"error": "Not Found", "fields": {}})


def test_unknown_addresses_and_methods_are_json_errors(client):
    """Below /api/ even the router's own errors are JSON, and 405 says what is allowed."""
    assert client.get("/api/").json == {"error": "Not Found", "fields": {}}
    response = client.put(POSTS, json={})
    assert (response.status_code, response.json["error"]) == (405, "Method Not Allowed")
    assert set(response.allow) == {"GET", "HEAD", "OPTIONS", "POST"}


def test_a_crash_is_a_json_error(make_app, sqlite_url):
    """A crash below /api/ is a JSON 500 that tells nothing about its reason."""
    app = make_app(sqlite_url, PROPAGATE_EXCEPTIONS=False)
    app.add_url_rule("/api/crash", view_func=lambda: 1 / 0)
    response = app.test_client().get("/api/crash")
    assert (response.status_code, response.json) == (500, {"error": "Internal Server Error", "fields": {}})


# --- ETag -------------------------------------------------------------------------------------------------------------


def test_what_has_not_changed_is_not_sent_again(client, alice, write):
    """Every GET has an ETag, and gives 304 without a body to who sends it back; a change gives another one."""
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
def test_a_change_that_is_too_late_is_refused(client, alice, write, method):
    """With If-Match a change is made if nobody else has made one since (else 412): no update gets lost."""
    location = write("one", alice)
    tag = client.get(location).headers["ETag"]
    changed = client.patch(location, json={"body": "two"}, headers=alice | {"If-Match": tag})
    assert changed.status_code == 200
    late = client.open(location, method=method, json={"body": "three"}, headers=alice | {"If-Match": tag})
    assert late.status_code == 412
    assert client.get(location).json["body"] == "two"
    in_time = alice | {"If-Match": changed.headers["ETag"]}
    assert client.open(location, method=method, json={"body": "three"}, headers=in_time).status_code in (200, 204)


def test_answers_are_no_business_of_shared_caches(client, alice, write):
    """What one user gets must not be given to another by a cache in between; a new token not even be kept."""
    write("one", alice)
    assert client.get(POSTS, headers=alice).headers["Cache-Control"] == "no-cache, private"
    token = client.post("/api/v1/tokens", json={"name": "new"}, headers=alice)
    assert "no-store" in token.headers["Cache-Control"]


# --- the description --------------------------------------------------------------------------------------------------


def test_the_api_describes_itself(client):
    """openapi.json is OpenAPI 3.1, and describes the API and nothing else, each schema once."""
    spec = client.get("/api/v1/openapi.json").json
    assert spec["openapi"].startswith("3.1.")
    names = {"ErrorOut", "PostIn", "PostOut", "PostsOut", "TokenIn", "TokenOut", "TokensOut", "UserOut", "UsersOut"}
    assert set(spec["components"]["schemas"]) == names
    assert all(path.startswith("/api/v1/") for path in spec["paths"])
    assert spec["servers"] == [{"url": "/"}]


def test_who_must_be_known_is_described(client):
    """An operation asks a stranger who it is if, and only if, the description says so."""
    spec = client.get("/api/v1/openapi.json").json
    for path, operations in spec["paths"].items():
        for method, operation in operations.items():
            url = path.format(post_id=1, token_id=1, username="alice")
            refused = client.open(url, method=method, json={}).status_code == 401
            assert refused == bool(operation.get("security")), f"{method} {path}"


def test_the_description_is_a_page(client):
    """The page names every operation, field and answer, without scripts, styles or anything from elsewhere."""
    spec, page = client.get("/api/v1/openapi.json").json, client.get("/api/v1/docs")
    assert (page.status_code, page.mimetype) == (200, "text/html")
    for path, operations in spec["paths"].items():
        for method in operations:
            assert f"{method.upper()} {path}" in page.text
    assert "://" not in page.text.replace("http://localhost/", "")
    assert page.text.count("<script") == page.text.count("<script src=")
