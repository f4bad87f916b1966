"""Every way to disguise the header that says where a body ends: the raw material of request smuggling."""

import itertools

from tests.live.conformance.fleet import differences

BYTES = [bytes([byte]) for byte in (*range(0x21), *b"\"',-:;_x", 0x7F, 0x85, 0xA0, 0xFF)]
PLACES = [  # where the byte goes: {0}
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
    """A POST with this framing line, and a Content-Length beside it unless it is None."""
    given = b"Content-Length: %d\r\n" % length if length is not None else b""
    return b"POST /x HTTP/1.1\r\nHost: probe\r\n" + given + line + b"\r\n\r\n" + body


def mutations() -> list[bytes]:
    """CL.TE, TE.CL and TE alone: whoever reads the disguised line otherwise than Nginx sees another request."""
    found = []
    for place, byte in itertools.product(PLACES, BYTES):
        line = place.replace(b"{0}", byte)
        hidden = b"%x\r\n%s\r\n0\r\n\r\n" % (len(SMUGGLED), SMUGGLED)
        found += [
            framed(line, b"0\r\n\r\n" + SMUGGLED, len(SMUGGLED) + 5),
            framed(line, hidden, len(hidden.split(b"\r\n")[0]) + 2),
            framed(line, hidden, None),
        ]
    return found


def test_disguised_framing(fleet, table, counts):
    """However Transfer-Encoding is disguised, every server does the same, and no app sees the request hidden in a body
    unless Nginx, too, takes it for a request of its own.
    """
    every = mutations()
    chosen = every[:: max(1, len(every) // counts.framings)]
    for payload in chosen:
        observed = fleet.ask(payload, patience=0.2)
        if differences(observed):
            observed = fleet.ask(payload)  # a busy machine is slow
        assert differences(observed) == [], payload
        for name, observation in observed.items():
            assert "foreign" not in observation.answer.canary, (name, payload)
            seen = [found.target[1] for found in observation.seen]
            answered = [status for status in observation.answer.statuses if status == 200]
            assert len(seen) <= len(answered) + ("open" in observation.answer.canary), (name, payload)
    table.add(
        "Transfer-Encoding",
        f"{len(chosen)} of {len(every)} disguises, with and without a Content-Length",
        "the same, no request seen that Nginx did not answer as one",
        {server.name: f"= {len(chosen)}" for server in fleet.servers},
        len(chosen),
    )


def test_hidden_request(fleet, table):
    """The request in a chunked body, and in a body with a length, is content to everybody."""
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
        "content",
        {server.name: "= 2" for server in fleet.servers},
        2,
    )
