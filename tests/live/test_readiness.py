"""Apps that accept only their own clients' requests become ready; if not, the health check says why."""

import subprocess

import pytest
import requests

from tests.live.stack import Stack, docker

HOST = "app.example.com"


@pytest.fixture(scope="module")
def stack(make_stack) -> Stack:
    """A stack with an app that checks host and scheme, behind a TLS proxy."""
    stack = make_stack("strict.yml", ALLOWED_HOSTS=HOST, TRUSTED_PROXIES="2", RELEASE_COMMAND="true")
    stack.up()
    return stack


def get(stack: Stack, path: str, host: str = HOST) -> requests.Response:
    """The response to a request as the TLS proxy forwards it."""
    headers = {"Host": host, "X-Forwarded-Proto": "https", "X-Forwarded-For": "203.0.113.7"}
    return requests.get(stack.url + path, headers=headers, timeout=10, allow_redirects=False)


def check_health(stack: Stack, **env: str) -> subprocess.CompletedProcess[str]:
    """Run the health check in the web container with other settings."""
    options = [f"--env={name}={value}" for name, value in env.items()]
    return docker("exec", *options, stack.container("web"), "deploy/health", check=False)


def test_strict_app_becomes_ready(stack):
    """An app that refuses other hosts, requires HTTPS and redirects `/` to a log-in page is healthy and served."""
    assert get(stack, "/").headers["Location"] == "/login"
    assert get(stack, "/login").text == "welcome"


@pytest.mark.parametrize("path", ["/", "/login", "/readyz"])
def test_other_hosts_get_400(stack, path):
    """Requests for other hosts than those of ALLOWED_HOSTS get 400, for READY_PATH too."""
    assert get(stack, path, host="evil.example").status_code == 400


def test_health_check_says_what_was_asked(stack):
    """If the app is not ready, the health check says which request was answered how."""
    done = check_health(stack, ALLOWED_HOSTS="*")
    assert done.returncode == 1
    assert "GET / for the host localhost over HTTPS answered 400: 400 Bad Request" in done.stdout
    done = check_health(stack)
    assert (done.returncode, done.stdout) == (0, f"GET / for the host {HOST} over HTTPS answered 302 to /login\n")
