"""The stack's own requests to the server of this container: readiness, health check and smoke check.

They are requests like a client's: their host is one of ALLOWED_HOSTS, and if a TLS proxy is in front of the stack, they
say that the client used HTTPS. Otherwise the app could refuse or redirect them, and would never become ready.
"""

import http.client
import socket
from collections.abc import Mapping
from typing import NamedTuple

from deploy.settings import socket_path

RESPONSE_TIMEOUT = 5  # seconds; Docker's health check has a longer one (Dockerfile)
SHOWN_BODY = 200  # characters


class Answer(NamedTuple):
    """The response to a request of our own, and the request in words."""

    request: str
    status: int
    location: str
    body: bytes

    @property
    def is_ready(self) -> bool:
        """Whether the app is ready: 2xx, or a redirect, which apps answer at `/` to clients that must log in."""
        return 200 <= self.status < 400

    def __str__(self) -> str:
        """For example `GET /readyz for the host localhost answered 503: no database`."""
        body = " ".join(self.body.decode(errors="replace").split())[:SHOWN_BODY]
        target = f" to {self.location}" if self.location else ""
        return f"{self.request} answered {self.status}{target}" + (f": {body}" if body else "")


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float):
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def host(settings: Mapping[str, str]) -> str:
    """A host that the stack serves: the first of ALLOWED_HOSTS."""
    first = settings["ALLOWED_HOSTS"].replace(",", " ").split()[0]
    return "localhost" if first == "*" else first.lstrip(".")


def is_https_expected(settings: Mapping[str, str]) -> bool:
    """Whether clients reach the app through a TLS proxy: there is a trusted proxy besides our own Nginx."""
    own_proxies = 0 if settings["PORT"] else 1
    return int(settings["TRUSTED_PROXIES"]) > own_proxies


def get(settings: Mapping[str, str], path: str) -> Answer:
    """Send GET `path` to the server of this container.

    Raises OSError or HTTPException if there is no response.
    """
    headers = {"Host": host(settings), "Connection": "close"}
    request = f"GET {path} for the host {headers['Host']}"
    if is_https_expected(settings):
        headers["X-Forwarded-Proto"] = "https"
        request += " over HTTPS"
    if settings["PORT"]:
        connection = http.client.HTTPConnection("127.0.0.1", int(settings["PORT"]), timeout=RESPONSE_TIMEOUT)
    else:
        connection = _UnixConnection(socket_path(settings), RESPONSE_TIMEOUT)
    try:
        connection.request("GET", path, headers=headers)
        response = connection.getresponse()
        return Answer(request, response.status, response.getheader("Location", ""), response.read())
    finally:
        connection.close()
