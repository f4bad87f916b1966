"""Obfuscated Transfer-Encoding headers, the basis of request smuggling attacks."""

import itertools

from tests.live.conformance.fleet import differences

BYTES = [bytes([byte]) for byte in (*range(0x21), *b"\"',-:;_x", 0x7F, 0x85, 0xA0, 0xFF)]
PLACES = [  # {0} is replaced with the byte
    b"{0}Transfer-Encoding: chunked",
    b"Transfer{0}Encoding: chunked",
    b"Transfer-Encoding{0}: chunked",
    b"Transfer-Encoding:{0}chunked",
    b"Transfer-Encoding: {0}chunked",
    b"Transfer-Encoding: chunked{0}",
    b"Transfer-Encoding: chunked\r\n{0}X: y",
    b"X: y{0}Transfer-Encoding: chunked",
    b"Transfer-Encoding: x\r\nTransfer-Encoding:{0}chunked",
]
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: probe\r\n\r\n"


def framed(line: bytes, body: bytes, length: int | None) -> bytes:
    """Build a POST with this header line, and with a Content-Length unless it is None."""
    content_length = b"Content-Length: %d\r\n" % length if length is not None else b""
    return b"POST /x HTTP/1.1\r\nHost: probe\r\n" + content_length + line + b"\r\n\r\n" + body


def variants() -> list[bytes]:
    """Return CL.TE, TE.CL and TE payloads: servers that parse the line differently from Nginx see another request."""
    payloads = []
    for place, byte in itertools.product(PLACES, BYTES):
        line = place.replace(b"{0}", byte)
        hidden = b"%x\r\n%s\r\n0\r\n\r\n" % (len(SMUGGLED), SMUGGLED)
        payloads += [
            framed(line, b"0\r\n\r\n" + SMUGGLED, len(SMUGGLED) + 5),
            framed(line, hidden, len(hidden.split(b"\r\n")[0]) + 2),
            framed(line, hidden, None),
        ]
    return payloads


def test_obfuscated_framing(fleet, table, counts):
    """For every obfuscated Transfer-Encoding, all servers behave the same. The app sees the request hidden in a body
    only if Nginx treats it as a request too.
    """
    every = variants()
    chosen = every[:: max(1, len(every) // counts.framings)]
    for payload in chosen:
        observed = fleet.ask(payload, timeout=0.2)
        if differences(observed):
            observed = fleet.ask(payload)  # with more time, since the machine may be busy
        assert differences(observed) == [], payload
        for name, observation in observed.items():
            assert "foreign" not in observation.answer.canary, (name, payload)
            answered = [status for status in observation.answer.statuses if status == 200]
            assert len(observation.seen) <= len(answered) + ("open" in observation.answer.canary), (name, payload)
    table.add(
        "Transfer-Encoding",
        f"{len(chosen)} of {len(every)} obfuscated headers, with and without a Content-Length",
        "the same result; the app sees only requests that Nginx answers",
        {server.name: f"= {len(chosen)}" for server in fleet.servers},
        len(chosen),
    )


def test_hidden_request(fleet, table):
    """A request inside a chunked body, or inside a body with a Content-Length, is content for every server."""
    hidden = b"%x\r\n%s\r\n0\r\n\r\n" % (len(SMUGGLED), SMUGGLED)
    for payload in (framed(b"Transfer-Encoding: chunked", hidden, None), framed(b"X: y", SMUGGLED, len(SMUGGLED))):
        observed = fleet.ask(payload)
        assert differences(observed) == []
        for observation in observed.values():
            assert [(seen.target[1], seen.length) for seen in observation.seen] == [("/x", len(SMUGGLED))]
            assert observation.answer.canary == "own"
    table.add(
        "Bodies and connections",
        "a whole request inside a body",
        "the app sees it as the body",
        {server.name: "= 2" for server in fleet.servers},
        2,
    )
