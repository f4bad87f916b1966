"""deploy/own_requests.py: readiness, health and smoke checks ask as a client of the app would."""

import http.server
import json
import threading

import pytest

from deploy import own_requests
from tests.support.wsgi import settings


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers with the request's headers; /login redirects."""

    def do_GET(self):
        self.send_response(302 if self.path == "/login" else 404 if self.path == "/none" else 200)
        if self.path == "/login":
            self.send_header("Location", "/accounts/login")
        self.end_headers()
        self.wfile.write(b"no such\n page" if self.path == "/none" else json.dumps(dict(self.headers)).encode())

    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def port():
    """The port of a real HTTP server."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=[0.01])
        thread.start()
        yield str(server.server_address[1])
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("allowed", "host"),
    [
        ("*", "localhost"),
        ("example.com", "example.com"),
        (".example.com, other.org", "example.com"),
        ("*,a.b", "localhost"),
    ],
)
def test_host_is_an_allowed_one(port, allowed, host):
    """The Host is the first of ALLOWED_HOSTS: with another one every response would be 400."""
    answer = own_requests.get(settings(PORT=port, TRUSTED_PROXIES="0", ALLOWED_HOSTS=allowed), "/")
    assert json.loads(answer.body)["Host"] == host
    assert str(answer).startswith(f"GET / for the host {host} answered 200: ")


def test_https_behind_a_tls_proxy(port):
    """With a proxy in front of the stack the request says HTTPS, which apps that redirect to https:// expect."""
    behind_proxy = own_requests.get(settings(PORT=port, TRUSTED_PROXIES="1"), "/")
    assert json.loads(behind_proxy.body)["X-Forwarded-Proto"] == "https"
    assert "over HTTPS" in behind_proxy.request
    without = own_requests.get(settings(PORT=port, TRUSTED_PROXIES="0"), "/")
    assert "X-Forwarded-Proto" not in json.loads(without.body)


@pytest.mark.parametrize(
    ("port", "proxies", "expected"),
    [("", "0", False), ("", "1", False), ("", "2", True), ("80", "0", False), ("80", "1", True)],
)
def test_own_nginx_is_no_tls_proxy(port, proxies, expected):
    """TRUSTED_PROXIES counts Nginx, except on targets without it."""
    assert own_requests.is_https_expected(settings(PORT=port, TRUSTED_PROXIES=proxies)) is expected


def test_answer_in_words(port):
    """An answer says what was asked and what came, in one line: the operator reads it if the app is never ready."""
    values = settings(PORT=port, TRUSTED_PROXIES="0")
    assert str(own_requests.get(values, "/none")) == "GET /none for the host localhost answered 404: no such page"
    assert "answered 302 to /accounts/login" in str(own_requests.get(values, "/login"))
