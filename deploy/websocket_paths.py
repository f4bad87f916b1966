"""Which requests open a WebSocket, and on which paths they may (WEBSOCKET_PATHS), for Nginx and for the middleware.

Elsewhere such a request is answered 400, as RFC 6455 (section 4.2.2) suggests. Clients then use their fallback:
engine.io, for example, continues to poll. If the request were passed on without its Upgrade header, the app would take
it for a plain GET. Every other Upgrade is ignored, as RFC 9110 (section 7.8) allows.
"""

import re

_CONNECTION_OPTION = re.compile(r"(?:^|,)[ \t]*upgrade[ \t]*(?:,|$)", re.IGNORECASE).search
_UPGRADE_PROTOCOL = re.compile(r"(?:^|,)[ \t]*websocket[ \t]*(?:,|$)", re.IGNORECASE).search


def opens_websocket(environ) -> bool:
    """Whether the request is the opening handshake of a WebSocket, as conf.d/websocket.conf of Nginx reads it too.

    HTTP/1.0 has no Upgrade, and without the connection option the header is not meant for this server.
    """
    return bool(
        "HTTP_UPGRADE" in environ
        and environ["REQUEST_METHOD"] == "GET"
        and environ["SERVER_PROTOCOL"] == "HTTP/1.1"
        and _CONNECTION_OPTION(environ.get("HTTP_CONNECTION", ""))
        and _UPGRADE_PROTOCOL(environ["HTTP_UPGRADE"])
    )


def paths(value: str) -> list[str]:
    """The paths of WEBSOCKET_PATHS."""
    return value.replace(",", " ").split()


def pattern(value: str) -> str:
    """Return a regular expression for the start of a path that is, or is below, one of WEBSOCKET_PATHS."""
    alternatives = [re.escape(path) + ("" if path.endswith("/") else "(?:/|$)") for path in paths(value)]
    return f"(?:{'|'.join(alternatives)})" if alternatives else "(?!)"
