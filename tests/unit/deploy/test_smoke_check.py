"""deploy/smoke_check.py: what a container that stands by must answer before Nginx is pointed at it."""

import pytest

from deploy import handover, smoke_check

SETTINGS = {"READY_PATH": "/ready", "ALLOWED_HOSTS": "*"}


@pytest.fixture
def server(monkeypatch):
    """Path → status of a server, a 200 where nothing is said; keeps what it was asked."""

    class Server:
        answers, asked = {}, []

        def ask(self, settings, path, host):
            self.asked.append((path, host))
            status = self.answers.get(path, 200)
            if isinstance(status, Exception):
                raise status
            return status, b""

    server = Server()
    server.answers, server.asked = {}, []
    monkeypatch.setattr(handover, "get", server.ask)
    monkeypatch.setattr(smoke_check, "PAUSE", 0)
    return server


def test_good_server_passes(server):
    """Health, readiness and each path are asked again and again for as long as it takes."""
    assert smoke_check.failure(SETTINGS, 0.05, ["/", "/posts"]) == ""
    assert server.asked[:4] == [(path, "localhost") for path in ("/healthz", "/ready", "/", "/posts")]
    assert len(server.asked) > 4


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
def test_bad_answers(server, path, status, reason):
    """/healthz and READY_PATH must be 200; any other path anything but a 5xx."""
    server.answers[path] = status
    assert smoke_check.failure(SETTINGS, 0.02, ["/"]) == reason


def test_asks_as_a_host_that_is_served(server):
    """Under another name than those of ALLOWED_HOSTS only 400 would come back, whatever the app does."""
    smoke_check.failure(SETTINGS | {"ALLOWED_HOSTS": ".example.com, other.org"}, 0.01, ["/"])
    assert {host for _, host in server.asked} == {"example.com"}
