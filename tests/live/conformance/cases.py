"""Requests and the result that every server must give: name, bytes, statuses, and what the app sees.

A connection with several responses has several statuses; 0 stands for an HTTP/0.9 response, which has no status line.
The last field is SEES_NOTHING, or a check of the single request that the app sees.
"""

from collections.abc import Callable
from dataclasses import dataclass

from tests.live.conformance.fleet import Seen

SEES_NOTHING = None
MAX_BODY = 10 * 1024**2  # MAX_BODY_SIZE's default


@dataclass(frozen=True)
class Case:
    name: str
    payload: bytes
    statuses: tuple[int, ...]
    sees: Callable[[Seen], bool] | None


def request(line: str = "GET /x", *headers: str, body: bytes = b"", host: str = "probe", version="HTTP/1.1") -> bytes:
    """Build a request with these headers after Host. The encoding is latin-1, so it can contain any byte."""
    lines = [f"{line} {version}", *([f"Host: {host}"] if host else []), *headers, "", ""]
    return "\r\n".join(lines).encode("latin-1") + body


def post(*headers: str, body: bytes = b"abc") -> bytes:
    return request("POST /x", *headers, body=body)


def chunked(body: bytes, size: int = 65536) -> bytes:
    parts = [body[start : start + size] for start in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


def _refused(status: int, payloads: dict[str, bytes]) -> list[Case]:
    return [Case(name, payload, (status,), SEES_NOTHING) for name, payload in payloads.items()]


def _no_header(*names: str) -> Callable[[Seen], bool]:
    return lambda seen: not set(names) & set(seen.environ)


def _variable(header: str) -> str:
    return f"HTTP_{header.upper().replace('-', '_')}"


def _header(name: str, value: str) -> Callable[[Seen], bool]:
    return lambda seen: seen.environ.get(name) == value


def _body(length: int) -> Callable[[Seen], bool]:
    return lambda seen: seen.length == length


LENGTHS = _refused(
    400,
    {
        "Content-Length twice, same value": post("Content-Length: 3", "Content-Length: 3"),
        "Content-Length twice, different values": post("Content-Length: 3", "Content-Length: 4"),
        "Content-Length as a list": post("Content-Length: 3, 3"),
        "Content-Length: +3": post("Content-Length: +3"),
        "Content-Length: 0x3": post("Content-Length: 0x3"),
        "Content-Length: -1": post("Content-Length: -1"),
        "Content-Length: 3 4": post("Content-Length: 3 4"),
        "Content-Length: 2^64": post(f"Content-Length: {2**64}"),
        "Content-Length without a value": post("Content-Length:"),
    },
)

CODINGS = _refused(
    501,
    {
        f"Transfer-Encoding: {value!r}": post(f"Transfer-Encoding: {value}", body=chunked(b"abc"))
        for value in ("identity", "gzip", "gzip, chunked", ",chunked", "chunked, chunked", "\x0bchunked", "chunked;a=b")
    },
) + _refused(
    400,
    {
        "Transfer-Encoding and Content-Length": post("Transfer-Encoding: chunked", "Content-Length: 3"),
        "Transfer-Encoding on HTTP/1.0": request(
            "POST /x", "Transfer-Encoding: chunked", body=chunked(b"abc"), version="HTTP/1.0"
        ),
        "chunk size with a sign": post("Transfer-Encoding: chunked", body=b"+3\r\nabc\r\n0\r\n\r\n"),
        "chunk size of 2^64": post("Transfer-Encoding: chunked", body=b"10000000000000000\r\nabc\r\n0\r\n\r\n"),
    },
)

UPLOADS = [
    Case(f"{size:,} bytes, chunked", post("Transfer-Encoding: chunked", body=chunked(b"x" * size)), (200,), _body(size))
    for size in (1, 65536, MAX_BODY)
] + [
    Case("two requests in one packet", request() + request("GET /y"), (200, 200), SEES_NOTHING),
    Case("Expect: 100-continue", post("Expect: 100-continue", "Content-Length: 3"), (100, 200), _body(3)),
    Case("Expect with another value", request("GET /x", "Expect: junk"), (200,), _no_header("HTTP_EXPECT")),
    Case("Range header for the app", request("GET /x", "Range: bytes=0-1"), (200,), _header("HTTP_RANGE", "bytes=0-1")),
    Case(
        "If-None-Match header for the app",
        request("GET /x", 'If-None-Match: "a"'),
        (200,),
        _header("HTTP_IF_NONE_MATCH", '"a"'),
    ),
    Case("GET with a body", request("GET /x", "Content-Length: 3", body=b"abc"), (200,), _body(3)),
    Case(
        "upgrade to WebSocket",
        request("GET /x", "Connection: Upgrade", "Upgrade: websocket"),
        (400,),
        SEES_NOTHING,
    ),
    Case(
        "upgrade to HTTP/2",
        request("GET /x", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk"),
        (200,),
        _no_header("HTTP_UPGRADE", "HTTP_CONNECTION"),
    ),
]

LINES = (
    _refused(0, {"HTTP/0.9": b"GET /x\r\n"})
    + _refused(505, {"HTTP/2.0 in the form of HTTP/1.1": request(version="HTTP/2.0")})
    + _refused(405, {"TRACE": request("TRACE /x"), "PROPFIND": request("PROPFIND /x")})
    + _refused(
        400,
        {
            "HTTP/1.2": request(version="HTTP/1.2"),
            "lower-case method": request("get /x"),
            "CONNECT": request("CONNECT a:1"),
            "OPTIONS *": request("OPTIONS *"),
            "target without a leading slash": request("GET x"),
            "8-bit bytes in the target": request("GET /caf\xe9"),
            "control character in the target": request("GET /\x01"),
            "control character in the query": request("GET /?\x7f"),
            "space before the colon of a header": request("GET /x", "X-Y : 1"),
            "NUL in a header name": request("GET /x", "X\0Y: 1"),
            "header without a name": request("GET /x", ": 1"),
            "folded header": request("GET /x", "X-Y: 1", "  2"),
            "NUL in a header value": request("GET /x", "X-Y: a\0b"),
            "two Content-Type headers": post("Content-Type: a/b", "Content-Type: c/d", "Content-Length: 3"),
            "two Content-Type headers, one of them quoted": post(
                'Content-Type: "a"', "Content-Type:", "Content-Length: 3"
            ),
            "CR in a header value": request("GET /x", "X-Y: a\rb"),
        },
    )
    + _refused(
        400,
        {
            f"byte {byte:#04x} in a header value": request("GET /x", f"X-Y: a{chr(byte)}b")
            for byte in (0x01, 0x08, 0x1B, 0x7F)
        },
    )
    + [
        Case("empty line before the request", b"\r\n" + request(), (200,), _no_header("HTTP_X")),
        Case("_ in a header name", request("GET /x", "X_Y: 1"), (200,), _no_header("HTTP_X_Y")),
        Case("Content_Length", request("GET /x", "Content_Length: 5"), (200,), _no_header("CONTENT_LENGTH")),
        Case(". in a header name", request("GET /x", "X.Y: 1"), (200,), _no_header("HTTP_X_Y", "HTTP_X.Y")),
        Case("8-bit header name", request("GET /x", "X-\xe9: 1"), (200,), _no_header("HTTP_X_\xe9", "HTTP_X_\xc9")),
        Case("8-bit header value", request("GET /x", "X-Y: caf\xe9"), (200,), _header("HTTP_X_Y", "caf\xe9")),
        Case("tab in a header value", request("GET /x", "X-Y: a\tb"), (200,), _header("HTTP_X_Y", "a\tb")),
        Case("white space around a header value", request("GET /x", "X-Y: \t a \t"), (200,), _header("HTTP_X_Y", "a")),
        Case("empty header value", request("GET /x", "X-Y:"), (200,), _header("HTTP_X_Y", "")),
        Case(
            "a header three times",
            request("GET /x", "X-Y: 1", "X-Y: 2,3", "x-y:4"),
            (200,),
            _header("HTTP_X_Y", "1, 2,3, 4"),
        ),
        Case(
            "Accept twice", request("GET /x", "Accept: a/b", "Accept: c/d"), (200,), _header("HTTP_ACCEPT", "a/b, c/d")
        ),
        Case(
            "Cookie twice", request("GET /x", "Cookie: a=1", "Cookie: b=2"), (200,), _header("HTTP_COOKIE", "a=1; b=2")
        ),
        *(
            Case(f"{name} of a proxy", request("GET /x", f"{name}: x"), (200,), _no_header(_variable(name)))
            for name in ("Proxy-Authorization", "Proxy-Connection", "Keep-Alive", "TE", "Trailer", "Upgrade")
        ),
        Case(
            "comma inside a quoted Content-Type",
            post('Content-Type: a/b; c="d, e"', "Content-Length: 3"),
            (200,),
            _header("CONTENT_TYPE", 'a/b; c="d, e"'),
        ),
        Case(
            "two Cookie headers",
            request("GET /x", "Cookie: a=1", "Cookie: b=2"),
            (200,),
            _header("HTTP_COOKIE", "a=1; b=2"),
        ),
    ]
)

HOSTS = _refused(
    400,
    {
        "no Host on HTTP/1.1": request(host=""),
        "two Host headers": request("GET /x", "Host: other"),
        "Host with a space": request(host="a b"),
        "Host with a slash": request(host="a/b"),
        "Host with a NUL": request(host="a\0b"),
        "Host with an invalid character": request(host="a=b"),
        **{
            f"Host {host!r}": request(host=host)
            for host in (
                *(
                    "a:port",
                    "a:-1",
                    "a:0",
                    "a:65536",
                    "a:99999",
                    "a:80:80",
                    ":80",
                    "u@a",
                    "::1",
                    "[::1",
                    "[]",
                    "[::1]a",
                ),
                *("[::1]80", "[::1]:a", "[::1]:65536", "[::1]:1:2", "[:::1]", "[1::2::3]", "[1.2.3.4]", "[::1%25eth0]"),
            )
        },
        "absolute URL as target, with an invalid port": request("GET http://other:port/"),
        "absolute URL as target, with a user": request("GET http://u@other/"),
    },
) + [
    Case("Host with capital letters and a port", request(host="PROBE:81"), (200,), _header("HTTP_HOST", "probe:81")),
    Case("no Host on HTTP/1.0", request(host="", version="HTTP/1.0"), (200,), _header("HTTP_HOST", "localhost")),
    Case(
        "absolute URL as target, with another Host",
        request("GET http://other/p?q"),
        (200,),
        _header("HTTP_HOST", "other"),
    ),
    Case(
        "absolute URL as target, and a Host with a port",
        request("GET http://other/p?q", host="probe:81"),
        (200,),
        _header("HTTP_HOST", "other"),
    ),
    Case("absolute URL with a port", request("GET http://other:81/p?q"), (200,), _header("HTTP_HOST", "other:81")),
    Case(
        "Host with an IPv6 address", request(host="[2001:DB8::7]:81"), (200,), _header("HTTP_HOST", "[2001:db8::7]:81")
    ),
    Case("Host with an empty port", request(host="probe:"), (200,), _header("HTTP_HOST", "probe")),
]


def _line(length: int) -> bytes:
    return request("GET /x?" + "q" * (length - len("GET /x? HTTP/1.1")))


def _fields(number: int) -> bytes:
    return request("GET /x", *(f"X-{index}: a" for index in range(number - 1)))


LIMITS = (
    [Case(f"request line of {size:,} bytes", _line(size), (200,), _body(0)) for size in (4000, 4094, 4095, 8000, 8189)]
    + [
        Case(f"header line of {size:,} bytes", request("GET /x", f"X-Y: {'a' * (size - 5)}"), (200,), _body(0))
        for size in (4096, 8000, 8189, 8190)
    ]
    + [Case("header line of 8,190 bytes without a space", request("GET /x", f"X-Y:{'a' * 8186}"), (200,), _body(0))]
    + [Case(f"{number} headers", _fields(number), (200,), _body(0)) for number in (50, 99, 100)]
    + [
        Case(
            "four headers of 8,000 bytes",
            request("GET /x", *(f"X-{n}: {'a' * 8000}" for n in range(4))),
            (200,),
            _body(0),
        )
    ]
    + [Case("path of 4,000 bytes", request(f"GET /{'p' * 3999}"), (200,), _body(0))]
    + [
        Case(
            "request line that grows by percent-encoding",
            request(f"GET /{chr(34) * 3000}?{'q' * 4000}"),
            (200,),
            _body(0),
        )
    ]
    + _refused(
        414,
        {
            "request line of 8,200 bytes": _line(8200),
            "path of 4,001 bytes": request(f"GET /{'p' * 4000}"),
            "path of 8,000 bytes": request(f"GET /{'p/' * 4000}"),
        },
    )
    + _refused(
        400,
        {
            "header line of 8,200 bytes": request("GET /x", f"X-Y: {'a' * 8200}"),
            "101 headers": _fields(101),
            "1,000 headers": _fields(1000),
            "five headers of 8,000 bytes": request("GET /x", *(f"X-{n}: {'a' * 8000}" for n in range(5))),
        },
    )
    + [
        Case(
            "body of exactly MAX_BODY_SIZE",
            post(f"Content-Length: {MAX_BODY}", body=b"x" * MAX_BODY),
            (200,),
            _body(MAX_BODY),
        )
    ]
    + _refused(
        413,
        {
            "one byte more than MAX_BODY_SIZE": post(f"Content-Length: {MAX_BODY + 1}", body=b"x" * (MAX_BODY + 1)),
            "one byte more than MAX_BODY_SIZE, chunked": post(
                "Transfer-Encoding: chunked", body=chunked(b"x" * (MAX_BODY + 1))
            ),
        },
    )
)

# target → PATH_INFO and QUERY_STRING; None: refused with 400.
PATHS: dict[str, tuple[str, str] | None] = {
    "/a%2Fb": ("/a/b", ""),
    "//a": ("//a", ""),
    "///a/": ("///a/", ""),
    "/a//b": ("/a//b", ""),
    "/a//": ("/a//", ""),
    "/fetch/http://example.com/a//b?c=//d": ("/fetch/http://example.com/a//b", "c=//d"),
    "/a%2F%2Fb": ("/a//b", ""),
    "/a//../b": ("/a/b", ""),
    "/a/..": ("/", ""),
    "/a/../b": ("/b", ""),
    "/a/%2e%2e/b": ("/b", ""),
    "/%00": None,
    "/%0a": None,
    "/a%0a": None,
    "/a%0d%0ab": None,
    "/%7f": None,
    "/%zz": None,
    "/%": None,
    "/../x": None,
    "/%2e%2e%2fa": None,
    "/a;p=1": ("/a;p=1", ""),
    "/a%3Fb": ("/a?b", ""),
    "/a%23b": ("/a#b", ""),
    "/a%25b": ("/a%b", ""),
    "/a%2525b": ("/a%25b", ""),
    "/.": ("/", ""),
    "/a/.": ("/a/", ""),
    "/a/./b": ("/a/b", ""),
    "/%C3%A9": ("/\xc3\xa9", ""),
    "/%ff": ("/\xff", ""),
    "/a+b": ("/a+b", ""),
    "/a%20b": ("/a b", ""),
    "/%5c": ("/\\", ""),
    "/%7e~": ("/~~", ""),
    "/a?b%2Fc": ("/a", "b%2Fc"),
    "/a?%00": ("/a", "%00"),
    "/a?b?c": ("/a", "b?c"),
    "/a?b=%zz": ("/a", "b=%zz"),
    "/a?//": ("/a", "//"),
    "/a?/../b": ("/a", "/../b"),
    "/a%2f..%2fb": ("/b", ""),
    "/?": ("/", ""),
    "/??": ("/", "?"),
    "/a#b": ("/a", ""),
    "/a/": ("/a/", ""),
    "/a,b:c@d&e=f": ("/a,b:c@d&e=f", ""),
    "/!$()*'": ("/!$()*'", ""),
    f"/{'s' * 256}": (f"/{'s' * 256}", ""),
    f"/{'s' * 3999}": (f"/{'s' * 3999}", ""),
    "/a%E2%82%AC?%E2%82%AC": ("/a\xe2\x82\xac", "%E2%82%AC"),
}

# Route of the probe → statuses, and what it does. Every route is requested with GET and with HEAD.
MISBEHAVIOUR = {
    "broken": ((500,), "raises before start_response"),
    "raise-after-start": ((500,), "raises after start_response"),
    "raise-at-first-part": ((500,), "raises before the first part of the body"),
    "raise-in-body": ((200,), "raises in the middle of the body"),
    "no-start": ((500,), "never calls start_response"),
    "split-header": ((500,), "sends CR LF in a header"),
    "short-body": ((200,), "sends less than its Content-Length"),
    "long-body": ((200,), "sends more than its Content-Length"),
    "with-body-204": ((204,), "sends a body with 204"),
    "with-body-304": ((304,), "sends a body with 304"),
    "stream": ((200,), "streams without a Content-Length"),
    "write": ((200,), "uses write()"),
    "many-headers": ((200,), "sends two cookies and an 8-bit header"),
    "refuse/401": ((401,), "refuses the request"),
}
CUT = ("raise-in-body", "short-body")  # with GET, the client can tell that the response is incomplete

SPOOFS = [
    "X-Forwarded-For",
    "X-Real-IP",
    "Forwarded",
    "X-Client-IP",
    "True-Client-IP",
    "X-Forwarded-Proto",
    "X-Forwarded-Host",
    "X-Forwarded-Port",
    "X-Forwarded-Prefix",
    "X-Forwarded-Ssl",
    "X-Forwarded-Protocol",
    "X-Forwarded-Scheme",
    "X-Forwarded-Server",
    "X-Scheme",
    "X-Url-Scheme",
    "Front-End-Https",
    "Proxy",
    "X-Original-URL",
    "X-Rewrite-URL",
    "X-HTTP-Method-Override",
    "Remote-User",
    "Script-Name",
    "X-Script-Name",
    "Path-Info",
    "X_Forwarded_For",
    "X_Forwarded_Proto",
    "Script_Name",
    "Remote_User",
]
