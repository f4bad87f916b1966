"""Request parsing: limits, content types, and bytes that are not UTF-8, for forms and JSON."""

import tracemalloc

import pytest

from tests.unit.app.helpers import only_sqlite

FORMS = pytest.mark.parametrize("content_type", ["application/x-www-form-urlencoded", "multipart/form-data"])
POSTS = "/api/v1/posts"
PAGES = [
    "/",
    "/login",
    "/register",
    "/reset",
    "/confirm",
    "/change",
    "/logout",
    "/account/deactivate",
    "/account/tokens",
]


@FORMS
def test_too_many_fields(client, content_type):
    """A form with 1000 fields is rejected with 413."""
    fields = {f"field{number}": "x" for number in range(1000)}
    assert client.post("/", data=fields, content_type=content_type).status_code == 413


@FORMS
def test_too_large_field(client, content_type):
    """A field of 300 kB is rejected with 413, although it is below MAX_BODY_SIZE."""
    assert client.post("/", data={"body": "x" * 300_000}, content_type=content_type).status_code == 413


@FORMS
def test_too_large_form(client, content_type):
    """Fields of 300 kB together are rejected with 413, and so is a file."""
    fields = {f"field{number}": "x" * 10_000 for number in range(30)}
    assert client.post("/", data=fields, content_type=content_type).status_code == 413


def test_invalid_utf8_becomes_a_replacement_character(app):
    """Bytes that are not UTF-8 become U+FFFD in multipart and in URL-encoded forms."""
    multipart = b'--b\r\nContent-Disposition: form-data; name="body"\r\n\r\n\xff\r\n--b--\r\n'
    for data, kind in (
        (multipart, "multipart/form-data; boundary=b"),
        (b"body=%FF", "application/x-www-form-urlencoded"),
    ):
        with app.test_request_context("/", method="POST", data=data, content_type=kind) as context:
            assert context.request.form["body"] == "\ufffd"


# --- JSON -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("size", "status"), [(64 * 1024, 422), (64 * 1024 + 1, 413)])
def test_json_limit(client, alice, size, status):
    """A JSON body of 64 KiB is parsed (this one is too long for a post); one more byte is 413."""
    frame = '{"body": "%s"}'
    body = frame % ("x" * (size - len(frame % "")))
    response = client.post(POSTS, data=body, content_type="application/json", headers=alice)
    assert (response.status_code, response.mimetype) == (status, "application/json")


def test_json_limit_is_a_setting(make_app, database, add_api_user, monkeypatch):
    """MAX_JSON_SIZE changes the limit."""
    monkeypatch.setenv("MAX_JSON_SIZE", "128k")
    app = make_app(database)
    alice, body = add_api_user("alice", app), '{"body": "%s"}' % ("x" * 100_000)
    response = app.test_client().post(POSTS, data=body, content_type="application/json", headers=alice)
    assert response.status_code == 422


@only_sqlite
@pytest.mark.parametrize("method", ["GET", "POST", "PUT"])
@pytest.mark.parametrize("path", [POSTS, "/api/v1/me", "/", "/login", "/nothing"])
def test_large_json_is_never_parsed(client, alice, path, method):
    """10 MB of JSON whose objects would take 300 MB take no memory, on any view with any method."""
    body = b"[" + b'{"":0},' * 1_400_000 + b"0]"
    client.get(path, headers=alice)  # loads what the view needs
    tracemalloc.start()
    response = client.open(path, method=method, data=body, content_type="application/json", headers=alice)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert response.status_code in (200, 404, 405, 413, 415)
    assert peak < 25_000_000  # the test client copies the body


@pytest.mark.parametrize("content_type", ["application/json", "application/vnd.api+json; charset=utf-8"])
@pytest.mark.parametrize("path", PAGES)
def test_pages_accept_no_json(client, path, content_type):
    """Forms are for people: JSON is 415 there, with the session or without, before it is parsed."""
    response = client.post(path, data='{"email": ["a@example.com", "x"]}', content_type=content_type)
    assert response.status_code == 415
    assert "accepts forms only" in response.text
    assert client.get(path, data="5", content_type=content_type).status_code in (405, 415)


def test_page_with_a_json_content_type_and_no_body(client):
    """Clients that send this header with every request can read pages."""
    assert client.get("/", content_type="application/json").status_code == 200
