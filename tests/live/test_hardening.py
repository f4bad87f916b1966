"""Hardening of the running containers: privileges, logs, headers, and expensive requests."""

import pytest
import requests

from tests.live.stack import docker
from tests.smoke.account import Account
from tests.smoke.client import POSTS, Site


@pytest.fixture(scope="module")
def stack(make_stack):
    stack = make_stack()
    stack.up()
    return stack


@pytest.mark.parametrize("service", ["nginx", "web"])
def test_no_root_and_nothing_writable(stack, service):
    """No process is root, the root file system is read-only, and all capabilities are dropped."""
    output = docker(
        "exec",
        stack.container(service),
        "sh",
        "-c",
        "id -u; touch /srv/x 2>&1; grep -h -E 'CapEff|NoNewPrivs' /proc/self/status",
        check=False,
    ).stdout
    uid, touched, capabilities, privileges = output.splitlines()
    assert int(uid) >= 10000
    assert "Read-only file system" in touched
    assert capabilities.split()[1] == "0" * 16
    assert privileges.split()[1] == "1"


def test_logs_are_json(stack):
    """Access log lines are JSON, with the request ID and without the query string."""
    requests.get(f"{stack.url}/?token=secret", headers={"X-Request-ID": "find-me"}, timeout=10)
    line = logged(stack, "find-me")
    assert '"request_id":"find-me"' in line and '"path":"/"' in line
    assert "secret" not in line


def logged(stack, text: str) -> str:
    """Return the first line of Nginx's log that contains the text, or "" after about 10 s. Nginx buffers up to 1 s."""
    for _ in range(100):
        for line in stack.logs("nginx").splitlines():
            if text in line:
                return line
    return ""


REQUESTS = {
    200: ("GET", "/", {}),
    201: ("POST", POSTS, {"json": {"body": "headers"}}),
    400: ("GET", "/", {"headers": {"Host": "bad host"}}),
    404: ("GET", "/static/missing.css", {}),
    405: ("TRACE", "/", {}),
    413: ("POST", "/", {"data": b"x" * (11 * 2**20)}),
    414: ("GET", "/" + "x" * 5000, {}),
    422: ("POST", POSTS, {"data": b"{", "headers": {"Content-Type": "application/json"}}),
}


@pytest.mark.parametrize("status", REQUESTS)
def test_headers_of_every_status(stack, account, status):
    """Every response, from the app, from Nginx or for a file, has one request ID, nosniff and no version number."""
    method, path, more = REQUESTS[status]
    visitor = account.program if path == POSTS else Site(stack.url)
    answer = visitor.request(method, path, status, **more)
    assert len(answer.headers["X-Request-ID"].split(",")) == 1
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    if answer.headers.get("Content-Type", "").startswith("text/html"):
        assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
    assert answer.headers["Server"] == "nginx"


AS_JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def account(stack):
    """A user who may write posts, and whose requests therefore run more of the app's code."""
    return Account.register(stack.url)


@pytest.mark.parametrize("authenticated", [False, True], ids=["anonymous", "authenticated"])
@pytest.mark.parametrize(
    "path, expensive, status",
    [
        ("/", {"data": {f"field{number}": "x" for number in range(10_000)}}, 413),
        ("/", {"files": {f"file{number}": ("name", b"x") for number in range(10_000)}}, 413),
        ("/", {"data": {"body": "x" * 3_000_000}}, 413),
        ("/login", {"data": {"password": "x" * 3_000_000}}, 413),
        (POSTS, {"data": "[" * 200_000 + "]" * 200_000, "headers": AS_JSON}, 413),
        (POSTS, {"data": "[" * 30_000 + "]" * 30_000, "headers": AS_JSON}, 422),
        (POSTS, {"data": '{"body":' + "9" * 60_000 + "}", "headers": AS_JSON}, 422),
    ],
    ids=[
        "10,000 fields",
        "10,000 files",
        "a field of 3 MB",
        "a password of 3 MB",
        "JSON of 400 kB",
        "JSON 30,000 deep",
        "a number of 60,000 digits",
    ],
)
def test_expensive_requests_are_refused(stack, account, authenticated, path, expensive, status):
    """Small requests that cause much work are refused within 1 s, for anonymous clients (401 by the API) and users."""
    visitor = (account.program if path == POSTS else account.browser) if authenticated else Site(stack.url)
    answer = visitor.request("POST", path, status if authenticated or path != POSTS else 401, **expensive)
    assert answer.elapsed.total_seconds() < 1
