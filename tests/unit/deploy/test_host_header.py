"""deploy/host_header.py: the pattern of valid hosts agrees with the standard library and with the middleware."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy import host_header
from deploy.middleware import normalize
from tests.support.wsgi import ask, settings, text

VALID = (
    *("example.com", "EXAMPLE.com", "a_b.example", "localhost", "127.0.0.1", "xn--bcher-kva.example", "example.com."),
    *("example.com:80", "example.com:", "example.com:1", "example.com:65535", "example.com:00080"),
    *("[::1]", "[::1]:8080", "[2001:DB8::7]:443", "[::ffff:192.0.2.1]", "[1:2:3:4:5:6:7:8]", "[1:2:3:4:5:6:7::]"),
)
INVALID = (
    *(
        "example.com:port",
        "example.com:-1",
        "example.com:65536",
        "example.com:99999",
        "example.com:0",
        "example.com:80:80",
    ),
    *("example.com:+80", "example.com: 80", "example.com:8 0", "example.com:８０", ":80", "user@example.com"),
    *("a b", "a/b", "a,b", "a=b", "exämple.com", "example.com\x00", "example.com\n", "a?b", "a#b", "*", "http://a"),
    *("::1", "[::1", "::1]", "[]", "[::1]x", "[::1]80", "[::1]:x", "[::1]:65536", "[::1]:1:2", "x[::1]", "[[::1]]"),
    *("[:::1]", "[1::2::3]", "[12345::]", "[::g]", "[1.2.3.4]", "[fe80::1%eth0]", "[::256.1.1.1]", "[1:2:3:4:5:6:7]"),
    *("[1:2:3:4::5:6:7:8]", "[v1.a]"),
)


@pytest.mark.parametrize("host", VALID)
def test_valid_host(host):
    """A name or an address, with an optional port, is valid."""
    assert host_header.is_valid(host)


@pytest.mark.parametrize("host", INVALID)
def test_invalid_host(host):
    """Anything else is not."""
    assert not host_header.is_valid(host)


@given(
    st.lists(st.sampled_from(["0", "1", "ab", "ffff", "12345", "g", ":", "::", "1.2.3.4", "1.2.3.400"]), max_size=16)
)
def test_addresses_in_brackets_are_ipv6_addresses(pieces):
    """The pattern accepts exactly what the standard library reads as an IPv6 address."""
    address = "".join(pieces)
    try:
        ipaddress.IPv6Address(address)
        expected = True
    except ValueError:
        expected = False
    assert bool(host_header.is_valid(f"[{address}]")) is expected


@pytest.mark.parametrize(
    ("host", "protocol", "status"),
    [
        ("example.com:80", "HTTP/1.1", 200),
        ("example.com:port", "HTTP/1.1", 400),
        ("example.com:port", "HTTP/1.0", 400),
        (None, "HTTP/1.1", 400),
        ("", "HTTP/1.1", 400),
        (None, "HTTP/1.0", 200),
    ],
)
def test_invalid_host_gets_400_without_nginx(host, protocol, status):
    """Without Nginx the middleware answers 400 to invalid hosts, and to HTTP/1.1 without a Host (RFC 9112, 3.2)."""
    app = normalize.wrap(text(), settings())
    assert ask(app, HTTP_HOST=host, SERVER_PROTOCOL=protocol).status.startswith(str(status))
