"""Static files, range and conditional requests: Nginx answers them, so all stacks must behave the same."""

import pytest

from tests.live.conformance.cases import request
from tests.live.conformance.wire import ask

SHEET = "/static/css/site.css"  # in the image; Nginx serves it with any app


@pytest.fixture(scope="module")
def whole(fleet):
    """The response with the whole style sheet."""
    return ask(fleet.servers[0].stack.port, request(f"GET {SHEET}")).responses[0]


# Method, headers ({etag} and {date} are the file's), status, body: a slice of the file, None if empty, ... for any.
ROWS = [
    ("GET", [], 200, slice(None)),
    ("HEAD", [], 200, None),
    ("GET", ["Range: bytes=0-9"], 206, slice(0, 10)),
    ("GET", ["Range: bytes=-5"], 206, slice(-5, None)),
    ("GET", ["Range: bytes=5-"], 206, slice(5, None)),
    ("GET", ["Range: bytes=999999-"], 416, ...),
    ("GET", ["Range: bytes=junk"], 416, ...),
    ("GET", ["Range: lines=1-2"], 200, slice(None)),
    ("GET", ["Range: bytes=0-9", "If-Range: {etag}"], 206, slice(0, 10)),
    ("GET", ["Range: bytes=0-9", 'If-Range: "other"'], 200, slice(None)),
    ("GET", ["If-None-Match: {etag}"], 304, None),
    ("GET", ["If-None-Match: *"], 304, None),
    ("GET", ['If-None-Match: "other"'], 200, slice(None)),
    ("GET", ["If-Modified-Since: {date}"], 304, None),
    ("GET", ["If-Modified-Since: Thu, 01 Jan 1970 00:00:00 GMT"], 200, slice(None)),
    ("GET", ['If-Match: "other"'], 412, ...),
    ("HEAD", ["If-None-Match: {etag}"], 304, None),
    ("POST", ["Content-Length: 0"], 405, ...),
    ("DELETE", [], 405, ...),
]


@pytest.mark.parametrize("method, headers, status, part", ROWS, ids=lambda value: str(value))
def test_static_file(fleet, table, whole, method, headers, status, part):
    """Ranges, conditions and methods for a static file are answered by RFC 9110, the same on every stack."""
    fields = [line.format(etag=whole.get("etag"), date=whole.get("last-modified")) for line in headers]
    observed = fleet.ask(request(f"{method} {SHEET}", *fields))
    for name, observation in observed.items():
        [response] = observation.answer.responses
        canary = "refused" if status == 412 else "own"  # Nginx closes the connection after a 412
        assert (response.status, observation.answer.canary, observation.seen) == (status, canary, []), name
        if part is not ...:
            assert response.body == (whole.body[part] if part else b""), name
    table.add(
        "Static files",
        f"{method} {', '.join(headers)}",
        str(status),
        {name: observation.summary for name, observation in observed.items()},
    )
