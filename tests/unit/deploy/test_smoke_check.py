"""deploy/smoke_check.py: the requests that a standby container must answer before it is promoted."""

import time
from http.client import IncompleteRead

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
    assert smoke_check.smoke_check(SETTINGS, 0.05, ["/", "/posts"]) is None
    assert server.requests[:4] == ["/healthz", "/ready", "/", "/posts"]
    assert len(server.requests) > 4


@pytest.mark.parametrize(
    ("path", "status", "failure"),
    [
        ("/healthz", 404, (smoke_check.BROKEN, "GET /healthz answered 404")),
        ("/ready", 404, (smoke_check.BROKEN, "GET /ready answered 404")),
        ("/ready", 503, (smoke_check.BROKEN, "GET /ready answered 503")),
        ("/ready", 204, None),
        ("/ready", 302, None),
        ("/", 500, (smoke_check.BROKEN, "GET / answered 500")),
        ("/", 503, (smoke_check.BUSY, "GET / answered 503")),
        ("/", ConnectionResetError(), (smoke_check.BROKEN, "GET / got no answer (ConnectionResetError)")),
        ("/", IncompleteRead(b""), (smoke_check.BROKEN, "GET / got no answer (IncompleteRead)")),
        ("/", BlockingIOError(), (smoke_check.BUSY, "GET / got no answer (BlockingIOError)")),  # the queue is full
        ("/", TimeoutError(), (smoke_check.BUSY, "GET / got no answer (TimeoutError)")),
        ("/", 404, None),
        ("/", 302, None),
    ],
)
def test_failures(server, path, status, failure):
    """/healthz and READY_PATH must answer 2xx or 3xx, any other path must not answer 5xx. A server that is only busy is
    told apart.
    """
    server.statuses[path] = status
    assert smoke_check.smoke_check(SETTINGS, 0.02, ["/"]) == failure


@pytest.mark.parametrize("status", [500, ConnectionResetError()])
def test_watch_reports_what_stays_broken(server, monkeypatch, status):
    """A path that stays broken for PATIENCE fails the watch, also if it was answered at first."""
    monkeypatch.setattr(smoke_check, "PATIENCE", 0.05)
    asked = iter([200, 200])

    class Answers(dict):
        def get(self, path, default):
            return next(asked, status) if path == "/" else default

    server.statuses = Answers()
    code, reason = smoke_check.watch(SETTINGS, 0.02, ["/"])
    assert (code, reason.split()[:2]) == (smoke_check.BROKEN, ["GET", "/"])


@pytest.mark.parametrize("status", [500, ConnectionResetError(), 503, TimeoutError(), BlockingIOError()])
def test_watch_forgives_what_clients_can_cause(server, monkeypatch, status):
    """Clients can crash a worker process or fill the queue for a while: a failure that ends within PATIENCE, or a busy
    server, fails no watch.
    """
    monkeypatch.setattr(smoke_check, "PATIENCE", 10)
    recovery = time.monotonic() + 0.1  # later than the end of the watch

    class Answers(dict):
        def get(self, path, default):
            return status if time.monotonic() < recovery else default

    server.statuses = Answers()
    assert smoke_check.watch(SETTINGS, 0.02, ["/"]) is None


@pytest.mark.parametrize("status", [503, TimeoutError(), BlockingIOError()])
def test_watch_does_not_judge_a_busy_server(server, monkeypatch, status):
    """A server that is busy for the whole watch is not broken."""
    monkeypatch.setattr(smoke_check, "PATIENCE", 0)
    server.statuses["/"] = status
    assert smoke_check.watch(SETTINGS, 0.02, ["/"]) is None
