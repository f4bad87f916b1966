"""Static files, partial and conditional requests: Nginx answers, so no server can make a difference."""

import pytest

from tests.live.conformance.cases import request
from tests.live.conformance.wire import ask

SHEET = "/static/css/site.css"  # of the image; served whichever app runs


@pytest.fixture(scope="module")
def whole(fleet):
    """The style sheet as one of the stacks sends it."""
    return ask(fleet.servers[0].stack.port, request(f"GET {SHEET}")).responses[0]


# line, headers ({etag}, {date} are the file's own), status, the body: the whole one's slice, or None for none
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
    """Ranges, conditions and methods on a static file are answered as RFC 9110 says, by every stack alike."""
    given = [line.format(etag=whole.get("etag"), date=whole.get("last-modified")) for line in headers]
    observed = fleet.ask(request(f"{method} {SHEET}", *given))
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
        {name: observation.said for name, observation in observed.items()},
    )
