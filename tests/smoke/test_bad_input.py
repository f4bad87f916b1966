"""Bad input."""

import pytest

from .client import POSTS, Page


def _json(text: str) -> bytes:
    return b'{"body": "%s"}' % text.encode()


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
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
    """JSON that is empty, malformed, too long or not UTF-8 gets 422, and the name of the field."""
    answer = program.send_json(data.replace(b"MARKER", marker.encode()), 422)
    assert answer.json().get("fields"), f"no field is named: {answer.text[:80]!r}"


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "application/xml"])
def test_other_content_type(program, marker, kind):
    """The API takes JSON alone: any other type gets 415."""
    program.send_json(_json(marker), 415, kind)


def test_bad_form(member, marker):
    """A text that is too long comes back in the form, with 422, and is not published."""
    answer = member.publish(marker + 5000 * "x", 422)
    assert marker in answer.text, "what was typed is lost"
    assert not member.find_posts(marker), "it was published nevertheless"


@pytest.mark.parametrize(
    ("path", "kind", "start"),
    [
        pytest.param("/", "application/x-www-form-urlencoded", b"body=", id="form"),
        pytest.param(POSTS, "application/json", b'{"body": "', id="JSON"),
    ],
)
def test_too_large(site, marker, max_body, path, kind, start):
    """A body of 1 MiB more than the limit gets a whole 413, and the next request its answer."""
    data = start + marker.encode() + b"x" * (max_body + 1024**2)
    answer = site.request("POST", path, 413, data=data, headers={"Content-Type": kind})
    assert answer.content, "the answer is empty"
    site.get("/healthz")


def test_largest(program, marker, max_body):
    """A body of exactly the limit is read to its end, and refused for its content alone (422)."""
    filler = max_body - len(_json(marker))
    answer = program.send_json(_json(marker + filler * "x"), 422)
    assert "body" in answer.json().get("fields", {}), f"the field is not named: {answer.text[:80]!r}"


def test_unknown_page(site):
    """An unknown page gets 404 and a page with the site's style."""
    answer = site.get("/no-such-page", 404)
    kind = answer.headers.get("Content-Type", "")
    assert kind.startswith("text/html"), f"its type is {kind!r}"
    assert Page(answer.text).style_sheets, "the page has no style sheet"


@pytest.mark.parametrize("path", [f"{POSTS}/2147483647", f"{POSTS}/no-number", "/api/v1/no-such-thing"])
def test_unknown_in_api(site, path):
    """What the API does not know gets 404 in JSON."""
    answer = site.get(path, 404)
    kind = answer.headers.get("Content-Type")
    assert kind == "application/json", f"its type is {kind!r}"
    assert answer.json().get("error"), "it does not say what is wrong"


@pytest.mark.parametrize("path", ["/", POSTS])
def test_other_method(site, path):
    """A method that an address does not take gets 405 and the list of those that it does."""
    allowed = site.request("PUT", path, 405, json={}).headers.get("Allow", "")
    assert "GET" in allowed, f"Allow is {allowed!r}"
