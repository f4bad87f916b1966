"""The JSON API: each status, and errors that name the field."""

from datetime import datetime, timedelta, timezone

import pytest

POSTS = "/api/v1/posts"


def test_a_post_is_created_read_and_deleted(client):
    """POST gives 201 and a Location; that address gives the post, then 204 to DELETE, then 404."""
    created = client.post(POSTS, json={"body": " Hello\r\n"})
    assert (created.status_code, created.location) == (201, f"{POSTS}/1")
    assert created.json["body"] == "Hello"
    assert client.get(created.location).json == created.json
    deleted = client.delete(created.location)
    assert (deleted.status_code, deleted.data) == (204, b"")
    assert client.get(created.location).status_code == 404
    assert client.delete(created.location).status_code == 404


def test_a_post_tells_when_it_was_made(client):
    """`created_at` is the present moment, in UTC and with its offset."""
    created_at = datetime.fromisoformat(client.post(POSTS, json={"body": "now"}).json["created_at"])
    assert created_at.utcoffset() == timedelta(0)
    assert abs(datetime.now(timezone.utc) - created_at) < timedelta(minutes=1)


def test_posts_are_paged(client, add_posts):
    """The list is paged, newest first, with the totals beside it."""
    add_posts(5)
    page = client.get(f"{POSTS}?page=2&per_page=2").json
    assert [post["body"] for post in page.pop("posts")] == ["post 3", "post 2"]
    assert page == {"page": 2, "per_page": 2, "pages": 3, "total": 5}


def test_a_page_beyond_the_last_is_empty(client):
    """A page that does not exist (yet) is an empty list, not an error."""
    response = client.get(f"{POSTS}?page=1000000000")
    assert (response.status_code, response.json["posts"], response.json["total"]) == (200, [], 0)


@pytest.mark.parametrize("value", ["0", "-1", "x", "101", "9" * 30, ""])
def test_a_bad_page_size_is_named(client, value):
    """per_page is 1 to 100; anything else is 422 and names the field."""
    response = client.get(f"{POSTS}?per_page={value}")
    assert (response.status_code, list(response.json["fields"])) == (422, ["per_page"])


@pytest.mark.parametrize(
    "body", ["", "  ", "x" * 501, "nul \0", "\ufffd", "\ud800", None, 1, ["text"], {"a": 1}, True]
)
def test_a_bad_body_is_named(client, body):
    """A body that cannot be stored is 422, with the reason under the field's name."""
    response = client.post(POSTS, json={"body": body})
    assert response.status_code == 422
    assert response.json["error"] == "Validation error"
    assert list(response.json["fields"]) == ["body"]
    assert all(isinstance(message, str) for message in response.json["fields"]["body"])


@pytest.mark.parametrize(("data", "field"), [({}, "body"), ({"body": "x", "author": "y"}, "author")])
def test_missing_and_unknown_fields_are_named(client, data, field):
    """A field that is missing or not known is 422 and named."""
    response = client.post(POSTS, json=data)
    assert (response.status_code, list(response.json["fields"])) == (422, [field])


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b'{"body": "\xff"}', b"[]", b'"text"', b"null", b"1", b"[" * 100_000, b'{"body": NaN x}'],
    ids=["empty", "broken", "not UTF-8", "list", "string", "null", "number", "deep", "not a number"],
)
def test_a_body_that_is_no_json_object_is_named(client, data):
    """A request whose JSON cannot be read, or is no object, is 422 under the name "json"."""
    response = client.post(POSTS, data=data, content_type="application/json")
    assert (response.status_code, list(response.json["fields"])) == (422, ["json"])


@pytest.mark.parametrize("content_type", [None, "text/plain", "application/x-www-form-urlencoded"])
def test_other_content_types_are_refused(client, content_type):
    """Only JSON is taken: everything else is 415, as JSON."""
    response = client.post(POSTS, data='{"body": "x"}', content_type=content_type)
    assert (response.status_code, response.json) == (415, {"error": "Unsupported Media Type", "fields": {}})


def test_too_large_a_body_is_refused(make_app, sqlite_url):
    """A body beyond MAX_BODY_SIZE is 413, as JSON."""
    client = make_app(sqlite_url, MAX_CONTENT_LENGTH=1000).test_client()
    response = client.post(POSTS, json={"body": "x" * 1000})
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


def test_the_api_describes_itself(client):
    """/openapi.json describes the API and nothing else."""
    spec = client.get("/openapi.json").json
    assert set(spec["components"]["schemas"]) == {"ErrorOut", "PageOut", "PostIn", "PostOut"}
    assert set(spec["paths"]) == {"/api/v1/posts", "/api/v1/posts/{post_id}"}
