"""Status and headers that an app may not send: every server answers alike, with and without Nginx in front."""

from urllib.parse import quote

import pytest

from deploy.settings import server_names
from tests.live.conformance.everywhere import fetch, on_each

HOP_BY_HOP = [
    "Connection: keep-alive, X-Named",
    "Keep-Alive: timeout=1000",
    "Proxy-Authenticate: Basic",
    "Proxy-Connection: keep-alive",
    "TE: trailers",
    "Trailer: Expires",
    "Transfer-Encoding: chunked",
    "Upgrade: h2c",
    "X-Named: by Connection",
    "Status: 418 Teapot",
]

# What the app sends → the status that the client gets. All bodies are "body".
HEADS = {
    "one Content-Length": (["Content-Length: 4"], "200 OK", 200),
    "Content-Length twice, same value": (["Content-Length: 4", "Content-Length: 4"], "200 OK", 200),
    "Content-Length twice, different values": (["Content-Length: 4", "Content-Length: 3"], "200 OK", 500),
    "Content-Length as a list": (["Content-Length: 4, 4"], "200 OK", 500),
    "negative Content-Length": (["Content-Length: -4"], "200 OK", 500),
    "Content-Length +4": (["Content-Length: +4"], "200 OK", 500),
    "Content-Length 4_0": (["Content-Length: 4_0"], "200 OK", 500),
    "Content-Length in words": (["Content-Length: four"], "200 OK", 500),
    "empty Content-Length": (["Content-Length: "], "200 OK", 500),
    "Content-Length of 2^64": ([f"Content-Length: {2**64}"], "200 OK", 500),
    "Content-Length and Transfer-Encoding": (["Content-Length: 4", "Transfer-Encoding: chunked"], "200 OK", 200),
    "Transfer-Encoding: gzip": (["Transfer-Encoding: gzip"], "200 OK", 200),
    "Content-Length with 204": (["Content-Length: 4"], "204 No Content", 204),
    "Content-Length with 304": (["Content-Length: 4"], "304 Not Modified", 304),
    "status without a text": ([], "200", 200),
    "status with an empty text": ([], "200 ", 200),
    "status of two digits": ([], "99 Few", 500),
    "status of four digits": ([], "1000 Many", 500),
    "status in words": ([], "OK", 500),
    "100 Continue": ([], "100 Continue", 500),
    "101 Switching Protocols": ([], "101 Switching Protocols", 500),
    "103 Early Hints": ([], "103 Early Hints", 500),
    "header name with a space": (["X Y: a"], "200 OK", 500),
    "empty header name": ([": a"], "200 OK", 500),
    "header name outside of ASCII": (["X-\xe9: a"], "200 OK", 500),
    "header value outside of latin-1": (["X-Y: \u20ac"], "200 OK", 500),
    "header value in latin-1": (["X-Y: \xe9"], "200 OK", 200),
    "200 with a Location": (["Location: /ready"], "200 OK", 200),
    "201 with a Location": (["Location: /ready"], "201 Created", 201),
}


def respond(headers: list[str], status: str = "200 OK", part: str | None = "body") -> str:
    """Return the target for a response with this head and body."""
    fields = [("status", status), *(("header", header) for header in headers)]
    fields += [("part", part)] if part is not None else []
    return "/respond?" + "&".join(f"{name}={quote(value)}" for name, value in fields)


def test_hop_by_hop_headers_are_dropped(stacks, table):
    """Hop-by-hop headers of the app's response, and those that its Connection names, do not reach the client; the
    server alone frames the body. A header Status is no status.
    """
    results = on_each(stacks, lambda stack: [fetch(stack, respond([header])) for header in HOP_BY_HOP])
    together = on_each(stacks, lambda stack: fetch(stack, respond([*HOP_BY_HOP, "Content-Length: 4"])))
    for name, responses in results.items():
        for header, response in zip(HOP_BY_HOP, responses, strict=True):
            key, _, value = header.lower().partition(": ")
            assert (response.status, response.body, response.whole) == (200, b"body", True), (name, header)
            assert key in ("transfer-encoding", "x-named") or response.get(key) != value, (name, header)
        response = together[name]
        assert (response.status, response.body, response.whole) == (200, b"body", True), name
        names = {key for key, _ in response.headers}
        assert not names & {"x-named", "proxy-authenticate", "te", "trailer", "transfer-encoding", "upgrade"}, name
        assert (response.get("keep-alive"), response.get("status")) in ((None, None), ("timeout=75, max=1000", None))
    add_row(table, f"{len(HOP_BY_HOP)} hop-by-hop headers of the app", "200, without them", len(HOP_BY_HOP) + 1)


@pytest.mark.parametrize("case", HEADS)
def test_invalid_head(stacks, table, case):
    """A response head that HTTP does not allow is answered 500; a harmless one is corrected."""
    headers, status, expected = HEADS[case]
    target = respond(headers, status)
    results = on_each(stacks, lambda stack: (fetch(stack, target), fetch(stack, target, method="HEAD")))
    for name, (got, head) in results.items():
        assert (got.status, head.status, got.whole) == (expected, expected, True), name
        if expected in (200, 201):
            assert got.body == b"body", name
        if expected == 204:
            assert got.get("content-length") is None, name
    assert len({got.body for got, _ in results.values()}) == 1
    add_row(table, case, str(expected), 2)


def test_location_names_the_same_page(stacks):
    """The Location of a 200 is an absolute URL of the same page, which mod_wsgi would answer instead."""
    results = on_each(stacks, lambda stack: fetch(stack, respond(["Location: /ready"])).get("location"))
    assert set(results.values()) == {"http://probe/ready"}


def test_content_length_without_a_body(stacks, table):
    """A Content-Length without any body is answered 500, as nothing has been sent yet."""
    results = on_each(stacks, lambda stack: fetch(stack, respond(["Content-Length: 4"], part=None)))
    assert {name: (got.status, got.whole) for name, got in results.items()} == dict.fromkeys(stacks, (500, True))
    add_row(table, "a Content-Length without a body", "500")


def test_empty_body(stacks, table):
    """A response without any body and length is complete."""
    results = on_each(stacks, lambda stack: [fetch(stack, respond([], part=part)) for part in (None, "")])
    for name, responses in results.items():
        assert [(got.status, got.body, got.whole) for got in responses] == [(200, b"", True)] * 2, name
    add_row(table, "an empty body", "200, whole", 2)


def test_body_of_text(stacks, table):
    """A body of str instead of bytes is answered 500."""
    results = on_each(stacks, lambda stack: fetch(stack, "/return-text").status)
    assert results == dict.fromkeys(stacks, 500)
    add_row(table, "a body of str", "500")


def add_row(table, behaviour: str, expectation: str, count: int = 1) -> None:
    results = {name: f"= {count}" for name in server_names()}
    table.add("Heads of responses", behaviour, expectation, results, count)
