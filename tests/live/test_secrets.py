"""Secrets do not leak: the secret key, the database password, and what clients send."""

import json

import pytest
import requests

from tests.live.stack import docker, image_name

KEY, PASSWORD = "canary-key-5b1f0c7a", "canary-password-93ac"
SENT = "canary-sent-77d2e1"
EVIL = 'evil\x1b[31m\\n{"level":"INFO"}'


@pytest.fixture(scope="module")
def stack(make_stack):
    """A stack whose database is stopped, so that the app reports database errors."""
    database = f"postgresql://tripod:{PASSWORD}@/tripod?host=/run/postgresql"
    stack = make_stack(COMPOSE_PROFILES="postgres", SECRET_KEY=KEY, DATABASE_URL=database)
    stack.up()
    stack.compose("stop", "postgres")
    return stack


def run_in(stack, service: str, command: str) -> str:
    done = docker("exec", stack.container(service), "sh", "-c", command, check=False)
    return done.stdout + done.stderr


def access_log(stack) -> str:
    """Return Nginx's log with the line of a request, or "" after about 10 s. Nginx buffers up to 1 s."""
    requests.get(f"{stack.url}/", timeout=20)
    logs = (stack.compose("logs", "nginx").stdout for _ in range(100))
    return next((log for log in logs if "nginx.access" in log), "")


PLACES = {
    "a page": lambda stack: requests.get(f"{stack.url}/", timeout=20).text,
    "an API answer": lambda stack: requests.get(f"{stack.url}/api/v1/posts", timeout=20).text,
    "/readyz": lambda stack: requests.get(f"{stack.url}/readyz", timeout=20).text,
    "/healthz": lambda stack: requests.get(f"{stack.url}/healthz", timeout=20).text,
    "headers": lambda stack: str(requests.get(f"{stack.url}/", timeout=20).headers),
    "the API's description": lambda stack: requests.get(f"{stack.url}/api/v1/openapi.json", timeout=20).text,
    "the app's log": lambda stack: stack.compose("logs", "web", "migrate").stdout,
    "Nginx's log": lambda stack: access_log(stack),
    "command lines": lambda stack: run_in(stack, "web", "cat /proc/[0-9]*/cmdline"),
    "Nginx's environment": lambda stack: run_in(stack, "nginx", "cat /proc/[0-9]*/environ; env"),
    "Nginx's files": lambda stack: run_in(stack, "nginx", "cat /var/cache/nginx/conf/*.conf /run/tripod/*.ready"),
    "the sockets' folder": lambda stack: run_in(stack, "web", "grep -r . /run/tripod /tmp /dev/shm /var/tmp"),
    "the images": lambda stack: "".join(
        docker("image", "inspect", image_name(name)).stdout
        + docker("image", "history", "--no-trunc", image_name(name)).stdout
        for name in ("web", "nginx")
    ),
}


@pytest.mark.parametrize("place", PLACES)
def test_secrets_do_not_leak(stack, place):
    """Neither the secret key nor the database password appears in responses, logs, images or other readable places."""
    text = PLACES[place](stack)
    assert text or place == "the sockets' folder"
    assert KEY not in text and PASSWORD not in text


def test_request_data_is_not_logged(stack):
    """Passwords, cookies, tokens and texts from requests are not logged, even if the request fails."""
    session = requests.Session()
    session.cookies.set("session", SENT)
    session.headers["Authorization"] = f"Bearer {SENT}"
    answers = [
        session.get(f"{stack.url}/", params={"token": SENT}, timeout=20),
        session.post(f"{stack.url}/", data={"body": SENT, "password": SENT}, timeout=20),
        session.post(f"{stack.url}/api/v1/posts", json={"body": SENT}, timeout=20),
        session.get(f"{stack.url}/missing", params={"q": SENT}, timeout=20),
    ]
    assert 503 in {answer.status_code for answer in answers}
    assert SENT not in stack.compose("logs").stdout


def test_requests_cannot_forge_log_lines(stack):
    """Line breaks, terminal escape codes and JSON in requests neither add log lines nor break them."""
    headers = {"User-Agent": EVIL, "X-Request-ID": EVIL, "Referer": EVIL}
    for path in ("/%0d%0a%7B%22level%22:1%7D", "/api/v1/posts", "/x" * 2000):
        requests.get(stack.url + path, headers=headers, timeout=20)
    lines = docker("logs", stack.container("web")).stderr.splitlines()
    lines += docker("logs", stack.container("nginx")).stdout.splitlines()
    broken = [line for line in lines if "evil" in line and not isinstance(json.loads(line), dict)]
    assert broken == [] and not any("\x1b" in line for line in lines)
