"""Set the client's address and the scheme from the headers of TRUSTED_PROXIES proxies.

Both are counted from the right of X-Forwarded-For and X-Forwarded-Proto, where each proxy appends what it has received,
so values that a client adds are ignored. REMOTE_ADDR is always an IP address: some proxies append the port as well
(Azure Application Gateway) or put IPv6 addresses into brackets. nginx/conf.d/forwarded.conf reads the headers in the
same way. The host is not taken from X-Forwarded-Host: Nginx passes Host itself, and platforms such as Heroku pass a
client's own X-Forwarded-Host on.
"""

import functools
import ipaddress
import re

_without_port = re.compile(r"\[(?P<ipv6>[^\]]*)\](?::\d*)?|(?P<ipv4>[\d.]+):\d*", re.ASCII).fullmatch


@functools.lru_cache(maxsize=1024)
def ip_address(text: str) -> str:
    """The IP address of an element of X-Forwarded-For, without port, brackets and quotes; empty if there is none.

    An IPv4 address that was mapped to IPv6 is an IPv4 address again: the client is the same.
    """
    text = text.strip(' \t"')
    if match := _without_port(text):
        text = match["ipv6"] or match["ipv4"] or ""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return ""
    if getattr(address, "scope_id", None):  # names an interface of another machine
        return ""
    return str(getattr(address, "ipv4_mapped", None) or address)


def _appended(header: str, count: int) -> str:
    """The element that the outermost of `count` proxies has appended; empty if there are fewer elements."""
    elements = header.split(",")
    return elements[-count] if len(elements) >= count else ""


def _scheme(header: str, count: int) -> str:
    """The scheme that the outermost proxy has received. Proxies may overwrite the header instead of appending to it."""
    elements = header.split(",")[-count:]
    received = elements[0].strip(' \t"').lower()
    return received if received in ("http", "https") else "http"


def scheme(environ, count: int) -> str:
    """The scheme that the client uses, with TRUSTED_PROXIES=count."""
    return _scheme(environ.get("HTTP_X_FORWARDED_PROTO", ""), count) if count else "http"


def _set_server_name(environ) -> None:
    """Set SERVER_NAME and SERVER_PORT as the client sees them; the servers' own values differ."""
    host = environ.get("HTTP_HOST") or "localhost"
    name, colon, port = host.rpartition(":")
    if not colon or host.endswith("]"):  # without a port; the last colon may belong to an IPv6 address
        name, port = host, ""
    environ["SERVER_NAME"] = name
    environ["SERVER_PORT"] = port or ("443" if environ["wsgi.url_scheme"] == "https" else "80")


def wrap(app, settings):
    count = int(settings["TRUSTED_PROXIES"])
    is_behind_nginx = not settings["PORT"]

    def client(environ) -> str:
        connection = ip_address(environ.get("REMOTE_ADDR") or "127.0.0.1")  # empty on a Unix socket
        if not count:
            return connection
        forwarded = environ.get("HTTP_X_FORWARDED_FOR", "")
        # Nginx has appended the address of the connection, whatever the proxies in front of it have sent.
        nginx_client = ip_address(_appended(forwarded, 1)) if is_behind_nginx else ""
        return ip_address(_appended(forwarded, count)) or nginx_client or connection

    def with_client(environ, start_response):
        environ["SCRIPT_NAME"] = ""  # Gunicorn would take it from a header
        environ["REMOTE_ADDR"] = client(environ)
        # uWSGI and Gunicorn trust X-Forwarded-Proto of any client.
        environ["wsgi.url_scheme"] = scheme(environ, count)
        _set_server_name(environ)
        return app(environ, start_response)

    return with_client
