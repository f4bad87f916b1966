"""Checks of setting values. Each takes a value and returns why it is invalid, or an empty string if it is valid.

A check of a value that may contain a password never repeats the value.
"""

import os
import re
from collections.abc import Callable, Iterable
from urllib.parse import urlsplit

Check = Callable[[str], str]

_BAD_PORT = "its port is not a number between 1 and 65535, or its host is malformed"


def anything(value: str) -> str:
    """Any text."""
    return ""


def one_of(choices: Callable[[], Iterable[str]]) -> Check:
    """One of the texts that `choices` returns."""

    def check(value: str) -> str:
        names = list(choices())
        return "" if value in names else f"{value!r} is not one of: {', '.join(names)}"

    return check


def one_of_in_any_case(choices: Callable[[], Iterable[str]]) -> Check:
    """One of the texts that `choices` returns, which are in small letters."""
    check = one_of(choices)
    return lambda value: check(value.lower()) and check(value)


def number(low: int, high: int) -> Check:
    """A whole number from `low` to `high`, in ASCII digits."""

    def check(value: str) -> str:
        if not re.fullmatch(r"[0-9]{1,9}", value):
            return f"{value!r} is not a whole number"
        return "" if low <= int(value) <= high else f"{value} is not between {low} and {high}"

    return check


def size_in_bytes(value: str) -> int:
    """`10m` as Nginx and Docker read it: 10 * 1024 * 1024 bytes."""
    units = {"k": 1024, "m": 1024**2, "g": 1024**3}
    unit = units.get(value[-1].lower())
    return int(value[:-1]) * unit if unit else int(value)


def size(low: int, high: int) -> Check:
    """A number of bytes from `low` to `high`, plain or with the suffix k, m or g (powers of 1024)."""

    def check(value: str) -> str:
        if not re.fullmatch(r"[0-9]{1,9}[kKmMgG]?", value):
            return f"{value!r} is not a size: a number of bytes, optionally followed by k, m or g"
        return "" if low <= size_in_bytes(value) <= high else f"{value} is not between {_shown(low)} and {_shown(high)}"

    return check


def _shown(bytes_: int) -> str:
    for unit, length in (("g", 1024**3), ("m", 1024**2), ("k", 1024)):
        if bytes_ % length == 0:
            return f"{bytes_ // length}{unit}"
    return str(bytes_)


def app_object(value: str) -> str:
    """`module:callable` or `module:factory()`."""
    if re.fullmatch(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*(\(\))?", value):
        return ""
    return f"{value!r} is neither module:callable nor module:factory()"


def url_path(value: str) -> str:
    """An absolute path of a URL, in visible ASCII characters."""
    return "" if re.fullmatch(r"/[!-~]*", value) else f"{value!r} is not a URL path that starts with /"


def methods(value: str) -> str:
    """HTTP methods in capital letters, separated by commas, with GET; not TRACE and CONNECT."""
    names = value.split(",")
    wrong = [name for name in names if not re.fullmatch(r"[A-Z][A-Z-]{0,31}", name)]
    if wrong:
        return f"{wrong[0]!r} is not a method in capital letters"
    if refused := {"CONNECT", "TRACE"} & set(names):
        return f"{min(refused)} is for proxies and debugging, and no server passes it to an app"
    return "" if "GET" in names else "GET is missing, which health checks need"


def websocket_paths(value: str) -> str:
    """URL paths separated by commas or spaces, none of which contains, or is below, a path of the stack's own."""
    for path in value.replace(",", " ").split():
        if not re.fullmatch(r"/[A-Za-z0-9._~/-]*", path) or "//" in path or "/." in path:
            return f"{path!r} is not a URL path that starts with / and consists of letters, digits and . _ ~ -"
        if path == "/static" or path.startswith("/static/") or "/static/".startswith(path):
            return f"{path!r} would include files below /static/, which Nginx serves"
        if covers(path, "/healthz"):
            return f"{path!r} would include /healthz, the path of the health check"
    return "" if value.replace(",", " ").split() else "it names no path"


def hsts(value: str) -> str:
    """The value of Strict-Transport-Security (RFC 6797, 6.1)."""
    if re.fullmatch(r"max-age=\d{1,10}(; includeSubDomains)?(; preload)?", value):
        return ""
    return f"{value!r} is not max-age=SECONDS, perhaps followed by `; includeSubDomains` and `; preload`"


def masked_paths(value: str) -> str:
    """URL paths between slashes, separated by commas or spaces."""
    for path in value.replace(",", " ").split():
        if not re.fullmatch(r"/(?:[A-Za-z0-9._~-]+/)+", path):
            return f"{path!r} is not a URL path that starts and ends with / and consists of letters, digits and . _ ~ -"
    return "" if value.replace(",", " ").split() else "it names no path"


def covers(path: str, other: str) -> bool:
    """Whether a path of WEBSOCKET_PATHS is, or is above, the other path."""
    return other == path or other.startswith(path if path.endswith("/") else f"{path}/")


def folder(value: str) -> str:
    """An absolute path of the file system, which the configuration files of Nginx and Apache can contain as it is."""
    if not value.startswith("/"):
        return f"{value!r} is not an absolute path"
    return f"{value!r} contains a space or one of ; {{ }} $ \\ and quotes" if re.search(r"[\s;{}$\\\"']", value) else ""


def ip_address(value: str) -> str:
    """An IPv4 address, or an IPv6 address in brackets, as Compose and Nginx write it in front of a port."""
    import ipaddress

    is_bracketed = value.startswith("[") and value.endswith("]")
    try:
        version = ipaddress.ip_address(value[1:-1] if is_bracketed else value).version
    except ValueError:
        return f"{value!r} is not an IP address"
    if (version == 6) != is_bracketed:
        return f"{value!r}: an IPv6 address stands in brackets, an IPv4 address does not"
    return ""


def hosts(value: str) -> str:
    """Host names separated by commas or spaces: `*`, `example.com`, `.example.com`, `example.com:8443`."""
    pattern = re.compile(r"\*|\.?[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*(:[0-9]{1,5})?")
    names = value.replace(",", " ").split()
    bad = [name for name in names if not pattern.fullmatch(name)]
    if bad:
        return f"{bad[0]!r} is not a host name (without scheme and path)"
    return "" if names else "it names no host"


def origins(value: str) -> str:
    """Origins (RFC 6454) separated by commas or spaces, or `*`."""
    pattern = re.compile(r"\*|https?://[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*(:[0-9]{1,5})?")
    bad = [origin for origin in value.replace(",", " ").split() if not pattern.fullmatch(origin)]
    return f"{bad[0]!r} is not an origin (scheme and host, without a path or a slash at the end)" if bad else ""


# TCP ports of database servers, by scheme without a driver (postgresql+psycopg).
DATABASE_PORTS = {
    **dict.fromkeys(("postgres", "postgresql", "postgis", "pgsql", "timescale"), 5432),
    **dict.fromkeys(("mysql", "mariadb"), 3306),
    **dict.fromkeys(("mssql", "sqlserver"), 1433),
    "cockroachdb": 26257,
    "oracle": 1521,
    "mongodb": 27017,
    "redis": 6379,
    "clickhouse": 9000,
}
_ENCODE = "percent-encode the password and the user name: @ is %40, # %23, / %2F, ? %3F, % %25, : %3A, [ %5B, ] %5D"


def database_addresses(url: str) -> list[tuple[str, int]]:
    """Host and TCP port of each server that the URL names; libpq accepts several, separated by commas.

    Empty for files, Unix sockets and schemes without a known port. Raises ValueError for an invalid port.
    https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING-URIS
    """
    # Not by urlsplit(): it refuses an IPv6 address beside other hosts.
    scheme, authority = re.match(r"(?:([^:/]*)://([^/?#]*))?", url).groups("")
    default = DATABASE_PORTS.get(scheme.partition("+")[0])
    addresses = []
    for address in filter(None, authority.rpartition("@")[2].split(",")):
        split = urlsplit(f"//{address}")
        if address.endswith(":") or split.port == 0 or not split.hostname:
            raise ValueError(_BAD_PORT)
        if split.hostname.lower().startswith("%2f"):
            continue  # the folder of a Unix socket
        if port := split.port or default:
            addresses.append((split.hostname, port))
    return addresses


def database_url(value: str) -> str:
    """A URL whose scheme names the database."""
    if value[:1] in "\"'`" or value[-1:] in "\"'`":
        return "it is enclosed in quotes, which are part of the value here"
    scheme = re.match(r"([a-z][a-z0-9+.-]*)://", value)
    if not scheme:
        return "it does not start with a scheme such as postgresql://"
    if scheme[1].startswith(("sqlite", "file")):
        return ""
    authority, tail = re.fullmatch(r"[^:]+://([^/?#]*)(.*)", value, re.DOTALL).groups()
    path, _, query = tail.partition("?")
    # A raw / ? or # of a password ends the part with the host: the rest of the password, with the @, follows.
    is_parameter = re.match(r"[\w.]+=", query)
    if authority.count("@") > 1 or "#" in tail or "@" in path or "@" in query and not is_parameter:
        return f"its password or user name contains a raw @ # / or ?; {_ENCODE}"
    credentials = authority.rpartition("@")[0]
    if re.search(r"%(?![0-9A-Fa-f]{2})", credentials) or re.search(r"[\[\]\s]", credentials):
        return f"its password or user name contains a raw %, bracket or space; {_ENCODE}"
    try:
        database_addresses(value)
    except ValueError:
        return _BAD_PORT
    return ""


def sample_database_url(value: str, folder: str) -> str:
    """A database of the sample app: PostgreSQL with psycopg, or a SQLite file in `folder` or another writable one."""
    scheme, _, rest = value.partition("://")
    if scheme in ("postgres", "postgresql", "postgresql+psycopg"):
        return ""
    if scheme not in ("sqlite", "sqlite+pysqlite"):
        return f"the sample app does not support the scheme {scheme}://"
    path = rest.partition("?")[0].removeprefix("/")
    if path in ("", ":memory:"):
        return "a SQLite database in memory is empty after each start, and different in each process"
    if not path.startswith("/"):
        return "the path of the SQLite file is relative; an absolute path follows four slashes"
    parent = os.path.dirname(os.path.normpath(path))
    if not f"{parent}/".startswith(f"{folder.rstrip('/')}/") and not os.access(parent, os.W_OK):
        return f"the SQLite file is in {parent}, which is not writable here; {folder} is"
    return ""


def smtp_url(value: str) -> str:
    """`smtp://` or `smtps://` with a host."""
    if not re.match(r"smtps?://.", value):
        return "it does not start with smtp:// or smtps://"
    try:
        parts = urlsplit(value)
        return "it names no host, or port 0" if not parts.hostname or parts.port == 0 else ""
    except ValueError:
        return _BAD_PORT


def redis_url(value: str) -> str:
    """`redis://` or `rediss://` with a host."""
    return "" if re.match(r"rediss?://.", value) else "it does not start with redis:// or rediss://"


def mailbox(value: str) -> str:
    """An email address without a display name."""
    return "" if re.fullmatch(r"[^\s@<>]+@[^\s@<>]+", value) else f"{value!r} is not an email address"


def secret(value: str) -> str:
    """At least 16 characters."""
    return "" if len(value) >= 16 else f"it has only {len(value)} characters"


def secrets(value: str) -> str:
    """Secrets of at least 16 characters, separated by commas or spaces."""
    return next(filter(None, map(secret, value.replace(",", " ").split())), "")


on_or_off = one_of(lambda: ("on", "off"))
port = number(1, 65535)
