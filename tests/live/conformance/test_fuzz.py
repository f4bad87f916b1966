"""Requests that nobody thought of: mutated valid ones, judged and seen alike by every server."""


import hypothesis
from hypothesis import strategies as st

from tests.live.conformance.fleet import differences

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "get", "QUERY"]
NAMES = [
    "X-Y",
    "Accept",
    "Accept",
    "Cookie",
    "Content-Type",
    "Content-Length",
    "Transfer-Encoding",
    "Connection",
    "Host",
    "Expect",
    "Range",
    "Upgrade",
    "TE",
    "Trailer",
    "X_Y",
    "Content_Length",
    "If-None-Match",
    "Via",
    "Script-Name",
    "X-Forwarded-For",
    "X-Forwarded-Proto",
    "Proxy",
    "Authorization",
    "Date",
    "Keep-Alive",
    "\xe9",
    "x y",
    "",
]
PIECES = [
    "/",
    "//",
    "..",
    ".",
    "a",
    "b",
    "%2F",
    "%2e",
    "%00",
    "%0a",
    "%zz",
    "%",
    ";",
    "?",
    "#",
    "%25",
    "%C3%A9",
    "\xe9",
    "\x01",
    "\\",
    "|",
    '"',
    "{",
    "<",
    "%7f",
    "+",
    "&",
    "=",
    "p" * 300,
]
VALUES = [
    "",
    "1",
    "3",
    "chunked",
    "identity",
    "close",
    "keep-alive",
    "100-continue",
    "probe",
    "a/b",
    "bytes=0-1",
    "trailers",
    "a, b",
    "a,b",
    " a ",
    "\t",
    "a\tb",
    "\xe9",
    "\x01",
    "a\x00b",
    "a;b",
    '"q"',
    "10.0.0.1",
    "https",
    "v" * 4000,
]
BODIES = [b"", b"abc", b"3\r\nabc\r\n0\r\n\r\n", b"0\r\n\r\n", b"3;x=y\r\nabc\r\n0\r\nX-T: 1\r\n\r\n", b"3\nabc\n0\n\n",
          b"GET /smuggled HTTP/1.1\r\nHost: probe\r\n\r\n"]  # fmt: skip
FRAMINGS = ["", "Content-Length: 3", "Transfer-Encoding: chunked", "Content-Length: {length}"]

targets = st.lists(st.sampled_from(PIECES) | st.text(st.characters(max_codepoint=255), max_size=4), max_size=6)
headers = st.tuples(st.sampled_from(NAMES), st.sampled_from(["", "", " ", "\t"]), st.sampled_from(VALUES))

SEED = 358148589  # the same each time; --seed tries another


@st.composite
def payloads(draw) -> bytes:
    """A request that is valid but for a few mutations, so that many get through to the app."""
    method = draw(st.sampled_from(METHODS[:7] * 3 + METHODS[7:]))
    target = "/" + "".join(draw(targets)).replace("\r", "").replace("\n", "")
    version = draw(st.sampled_from(["HTTP/1.1"] * 9 + ["HTTP/1.0", "HTTP/1.2", "http/1.1", ""]))
    body = draw(st.sampled_from(BODIES))
    framing = draw(st.sampled_from(FRAMINGS)).format(length=len(body))
    given = [f"{name}{space}: {value}" for name, space, value in draw(st.lists(headers, max_size=4))]
    lines = [f"{method} {target} {version}", "Host: probe", *given, *([framing] if framing else []), "", ""]
    return draw(st.sampled_from(["\r\n"] * 9 + ["\n"])).join(lines).encode("latin-1") + body


def test_fuzz(fleet, table, requests_to_send, pytestconfig, capsys):
    """Mutated requests get the same status on every server, and the app sees the same."""
    seed = pytestconfig.getoption("--seed", None) or SEED
    with capsys.disabled():
        print(f"\nfuzzing with --seed {seed} --requests {requests_to_send}")
    seen = 0

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=requests_to_send,
        deadline=None,
        database=None,
        print_blob=False,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(payloads())
    def same_everywhere(payload):
        nonlocal seen
        observed = fleet.ask(payload, patience=0.5)
        assert differences(observed) == []
        assert not any("foreign" in observation.answer.canary for observation in observed.values())
        seen += bool(observed["gunicorn"].seen)

    same_everywhere()
    result = f"= {requests_to_send}; app saw {seen}"
    table.add(
        "Fuzzing",
        f"mutated requests, seed {seed}",
        "the same status, the same seen by the app",
        {server.name: result for server in fleet.servers},
        requests_to_send,
    )
