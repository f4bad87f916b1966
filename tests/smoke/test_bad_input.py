"""Invalid input."""

import pytest

from .client import POSTS, Page

MAX_JSON = 64 * 1024


def _json(text: str) -> bytes:
    return b'{"body": "%s"}' % text.encode()


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="no body"),
        pytest.param(b"{}", id="empty object"),
        pytest.param(b"[]", id="list"),
        pytest.param(b"null", id="null"),
        pytest.param(_json(""), id="empty text"),
        pytest.param(_json("MARKER")[:-2], id="malformed"),
        pytest.param(_json("MARKER" + 5000 * "x"), id="too long"),
        pytest.param(_json("MARKER").replace(b"}", b"\xff}"), id="not UTF-8 outside the text"),
        pytest.param(_json("MARKER").replace(b"R", b"R\xff\xfe"), id="not UTF-8"),
    ],
)
def test_bad_json(program, marker, data):
    """JSON that is empty, malformed, too long or not UTF-8 gets 422 with an error for the field."""
    response = program.send_json(data.replace(b"MARKER", marker.encode()), 422)
    assert response.json().get("fields"), f"there is no error for a field: {response.text[:80]!r}"


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "application/xml"])
def test_other_content_type(program, marker, kind):
    """The API accepts only JSON. Other content types get 415."""
    program.send_json(_json(marker), 415, kind)


def test_bad_form(member, marker):
    """A text that is too long gets 422, stays in the form and is not published."""
    response = member.publish(marker + 5000 * "x", 422)
    assert marker in response.text, "the form does not contain the text"
    assert not member.find_posts(marker), "the post was published"


@pytest.mark.parametrize(
    ("path", "kind", "start"),
    [
        pytest.param("/", "application/x-www-form-urlencoded", b"body=", id="form"),
        pytest.param(POSTS, "application/json", b'{"body": "', id="JSON"),
    ],
)
def test_too_large(site, marker, max_body, path, kind, start):
    """A body that exceeds the limit by 1 MiB gets a complete 413 response, and the next request works."""
    data = start + marker.encode() + b"x" * (max_body + 1024**2)
    response = site.request("POST", path, 413, data=data, headers={"Content-Type": kind})
    assert response.content, "the response is empty"
    site.get("/healthz")


def test_largest(program, marker):
    """JSON of 64 KiB, the default of MAX_JSON_SIZE, is parsed, and rejected only because of its content (422)."""
    filler = MAX_JSON - len(_json(marker))
    response = program.send_json(_json(marker + filler * "x"), 422)
    assert "body" in response.json().get("fields", {}), f"there is no error for the field: {response.text[:80]!r}"


def test_unknown_page(site):
    """An unknown path gets a styled 404 page."""
    response = site.get("/no-such-page", 404)
    content_type = response.headers.get("Content-Type", "")
    assert content_type.startswith("text/html"), f"Content-Type is {content_type!r}"
    assert Page(response.text).style_sheets, "the page has no style sheet"


@pytest.mark.parametrize("path", [f"{POSTS}/2147483647", f"{POSTS}/no-number", "/api/v1/no-such-thing"])
def test_unknown_in_api(site, path):
    """Unknown API resources get 404 in JSON."""
    response = site.get(path, 404)
    content_type = response.headers.get("Content-Type")
    assert content_type == "application/json", f"Content-Type is {content_type!r}"
    assert response.json().get("error"), "there is no error message"


@pytest.mark.parametrize("path", ["/", POSTS])
def test_other_method(site, path):
    """Unsupported methods get 405 with the supported methods (Allow)."""
    allowed = site.request("PUT", path, 405, json={}).headers.get("Allow", "")
    assert "GET" in allowed, f"Allow is {allowed!r}"
