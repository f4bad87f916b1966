"""deploy/smoke_check.py: the requests that a standby container must answer before it is promoted."""

import pytest

from deploy import handover, smoke_check

SETTINGS = {"READY_PATH": "/ready", "ALLOWED_HOSTS": "*"}


@pytest.fixture
def server(monkeypatch):
    """A server with a status for each path, 200 by default; it records the requests."""

    class Server:
        statuses, requests = {}, []

        def get(self, settings, path, host):
            self.requests.append((path, host))
            status = self.statuses.get(path, 200)
            if isinstance(status, Exception):
                raise status
            return status, b""

    server = Server()
    server.statuses, server.requests = {}, []
    monkeypatch.setattr(handover, "get", server.get)
    monkeypatch.setattr(smoke_check, "PAUSE", 0)
    return server


def test_healthy_server_passes(server):
    """Liveness, readiness and each path are requested repeatedly for the whole time."""
    assert smoke_check.failure(SETTINGS, 0.05, ["/", "/posts"]) == ""
    assert server.requests[:4] == [(path, "localhost") for path in ("/healthz", "/ready", "/", "/posts")]
    assert len(server.requests) > 4


@pytest.mark.parametrize(
    ("path", "status", "reason"),
    [
        ("/healthz", 404, "GET /healthz answered 404"),
        ("/ready", 204, "GET /ready answered 204"),
        ("/", 500, "GET / answered 500"),
        ("/", ConnectionResetError(), "GET / got no answer (ConnectionResetError)"),
        ("/", 404, ""),
        ("/", 302, ""),
    ],
)
def test_failures(server, path, status, reason):
    """/healthz and READY_PATH must answer 200, any other path must not answer 5xx."""
    server.statuses[path] = status
    assert smoke_check.failure(SETTINGS, 0.02, ["/"]) == reason


def test_requests_have_an_allowed_host(server):
    """The Host is one of ALLOWED_HOSTS: with another one every response would be 400."""
    smoke_check.failure(SETTINGS | {"ALLOWED_HOSTS": ".example.com, other.org"}, 0.01, ["/"])
    assert {host for _, host in server.requests} == {"example.com"}
