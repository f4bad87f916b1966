"""Fuzzing: randomly mutated requests, which all servers must treat the same."""

import time

import hypothesis
from hypothesis import strategies as st

from tests.live.conformance.fleet import Server, differences
from tests.live.conformance.wire import TIMEOUT

SEED = 358148589  # fixed, so that runs are reproducible; --seed sets another
MOSTLY = 12  # usual parts for each odd one

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
ODD_METHODS = ["TRACE", "get", "QUERY", "CONNECT", "G\tT"]
PIECES = ["/", "a", "b", ".", "//", "..", ";", "?", "+", "&", "=", "~", "%2F", "%2e", "%25", "%C3%A9", "p" * 300]
ODD_PIECES = ["%00", "%0a", "%zz", "%", "#", "\xe9", "\x01", "\\", "|", '"', "{", "<", "%7f"]
NAMES = [
    "X-Y",
    "Accept",
    "Cookie",
    "Connection",
    "Expect",
    "Range",
    "Upgrade",
    "TE",
    "X_Y",
    "Content_Length",
    "Via",
    "If-None-Match",
    "Script-Name",
    "X-Forwarded-For",
    "X-Forwarded-Proto",
    "Proxy",
    "Authorization",
    "Date",
    "Keep-Alive",
    "Content-Type",
    "Trailer",
]
ODD_NAMES = ["Content-Length", "Transfer-Encoding", "Host", "\xe9", "x y", ""]
VALUES = [
    "",
    "1",
    "close",
    "keep-alive",
    "100-continue",
    "probe",
    "a/b",
    "bytes=0-1",
    "trailers",
    " a ",
    "\t",
    "a\tb",
    "\xe9",
    "a;b",
    '"q"',
    "10.0.0.1",
    "https",
    "v" * 4000,
]
ODD_VALUES = ["\x01", "a\x00b", "chunked", "identity", "3", "a, b", "a,b", "\x7f", "a\rb"]
# Framing header and body.
BODIES = [
    ("", b""),
    ("Content-Length: 3", b"abc"),
    ("Transfer-Encoding: chunked", b"3\r\nabc\r\n0\r\n\r\n"),
    ("Transfer-Encoding: chunked", b"3;x=y\r\nabc\r\n0\r\n\r\n"),
]
ODD_BODIES = [
    ("Content-Length: 3", b""),
    ("Content-Length: 0", b"GET /smuggled HTTP/1.1\r\nHost: probe\r\n\r\n"),
    ("Transfer-Encoding: chunked", b"3\nabc\n0\n\n"),
    ("Transfer-Encoding: chunked", b"0\r\nX-T: 1\r\n\r\n"),
    ("Transfer-Encoding: chunked", b"0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: probe\r\n\r\n"),
    ("Transfer-Encoding: chunked", b"abc"),
]


def mostly(usual: list, odd: list) -> st.SearchStrategy:
    """Draw a usual value, and occasionally an odd one."""
    return st.integers(0, MOSTLY).flatmap(lambda dice: st.sampled_from(usual if dice else odd))


pieces = mostly(PIECES, ODD_PIECES) | st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=4)
headers = st.tuples(mostly(NAMES, ODD_NAMES), mostly([""], [" ", "\t"]), mostly(VALUES, ODD_VALUES))


@st.composite
def payloads(draw) -> bytes:
    """Build a valid request with a few mutations, so that most of them reach the app."""
    method = draw(mostly(METHODS, ODD_METHODS))
    target = "/" + "".join(draw(st.lists(pieces, max_size=6)))
    version = draw(mostly(["HTTP/1.1"], ["HTTP/1.0", "HTTP/1.2", "http/1.1", ""]))
    framing, body = draw(mostly(BODIES, ODD_BODIES))
    fields = [f"{name}{space}: {value}" for name, space, value in draw(st.lists(headers, max_size=4))]
    lines = [f"{method} {target} {version}", "Host: probe", *fields, *([framing] if framing else []), "", ""]
    return draw(mostly(["\r\n"], ["\n"])).join(lines).encode("latin-1") + body


def observe(fleet, payload: bytes):
    """Send the payload to every server. A difference must show up again in a second attempt with a longer time limit.

    Most requests without a response after 0.2 s are incomplete and would never get one. But a busy machine may just be
    slow, and a request that the app sees late would be counted for the next payload.
    """
    observed = fleet.ask(payload, timeout=0.2)
    if not differences(observed):
        return observed
    time.sleep(TIMEOUT)
    fleet.on_each(Server.seen)
    return fleet.ask(payload, timeout=5 * TIMEOUT)


def test_fuzz(fleet, table, counts, pytestconfig, capsys):
    """Mutated requests get the same status on every server, and the app sees the same request."""
    seed = pytestconfig.getoption("--seed", None) or SEED
    with capsys.disabled():
        print(f"\nfuzzing with --seed {seed} --requests {counts.fuzzed}")
    seen = 0

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=counts.fuzzed,
        deadline=None,
        database=None,
        print_blob=False,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(payloads())
    def same_everywhere(payload):
        nonlocal seen
        observed = observe(fleet, payload)
        assert differences(observed) == []
        assert not any("foreign" in observation.answer.canary for observation in observed.values())
        seen += all(observation.seen for observation in observed.values())

    same_everywhere()
    assert seen > counts.fuzzed / 3, "too few requests reached the app"
    table.add(
        "Fuzzing",
        f"mutated requests, seed {seed}",
        "the same status, the same request seen by the app",
        {server.name: f"= {counts.fuzzed}; app saw {seen}" for server in fleet.servers},
        counts.fuzzed,
    )
