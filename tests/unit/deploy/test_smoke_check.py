"""deploy/smoke_check.py: the requests that a standby container must answer before it is promoted."""

import pytest

from deploy import own_requests, smoke_check

SETTINGS = {"READY_PATH": "/ready", "ALLOWED_HOSTS": "*"}


@pytest.fixture
def server(monkeypatch):
    """A server with a status for each path, 200 by default; it records the requests."""

    class Server:
        statuses, requests = {}, []

        def get(self, settings, path):
            self.requests.append(path)
            status = self.statuses.get(path, 200)
            if isinstance(status, Exception):
                raise status
            return own_requests.Answer(f"GET {path}", status, "", b"")

    server = Server()
    server.statuses, server.requests = {}, []
    monkeypatch.setattr(own_requests, "get", server.get)
    monkeypatch.setattr(smoke_check, "PAUSE", 0)
    return server


def test_healthy_server_passes(server):
    """Liveness, readiness and each path are requested repeatedly for the whole time."""
    assert smoke_check.failure(SETTINGS, 0.05, ["/", "/posts"]) == ""
    assert server.requests[:4] == ["/healthz", "/ready", "/", "/posts"]
    assert len(server.requests) > 4


@pytest.mark.parametrize(
    ("path", "status", "reason"),
    [
        ("/healthz", 404, "GET /healthz answered 404"),
        ("/ready", 404, "GET /ready answered 404"),
        ("/ready", 503, "GET /ready answered 503"),
        ("/ready", 204, ""),
        ("/ready", 302, ""),
        ("/", 500, "GET / answered 500"),
        ("/", ConnectionResetError(), "GET / got no answer (ConnectionResetError)"),
        ("/", 404, ""),
        ("/", 302, ""),
    ],
)
def test_failures(server, path, status, reason):
    """/healthz and READY_PATH must answer 2xx or 3xx, any other path must not answer 5xx."""
    server.statuses[path] = status
    assert smoke_check.failure(SETTINGS, 0.02, ["/"]) == reason
