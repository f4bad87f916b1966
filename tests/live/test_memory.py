"""No request makes a worker use up its memory: the largest bodies that parse into the most objects, on every server."""

import re
import threading
from collections import Counter

import pytest
import requests

from deploy.settings import server_names
from tests.live.stack import docker
from tests.smoke.account import Account
from tests.smoke.client import POSTS

SIZE = 10 * 1024**2 - 1024  # bytes; MAX_BODY_SIZE is 10 MiB
ATTACKERS = 8
APACHE = "../../deploy/targets/apache/compose.yml"


def repeated(part: str, start: str = "", end: str = "") -> bytes:
    return (start + part * ((SIZE - len(start) - len(end)) // len(part)) + end).encode()


JSON, FORM, MULTIPART = "application/json", "application/x-www-form-urlencoded", "multipart/form-data; boundary=b"
BODIES = [
    (JSON, repeated('{"":0},', "[", "0]")),  # 30 times its size
    (JSON, repeated("[],", "[", "0]")),
    (JSON, repeated("[")),
    (JSON, repeated("9")),
    (FORM, repeated("a&")),
    (FORM, repeated("%00", "email=")),
    (MULTIPART, repeated('--b\r\nContent-Disposition: form-data; name=""\r\n\r\n\r\n', end="--b--\r\n")),
    (MULTIPART, repeated("a: b\r\n", "--b\r\n")),
]


@pytest.fixture(scope="module", params=[*server_names(), "Apache alone"])
def stack(make_stack, request):
    files, env = ((APACHE,), {}) if request.param == "Apache alone" else ((), {"WSGI_SERVER": request.param})
    stack = make_stack(*files, **env)
    stack.up()
    return stack


@pytest.fixture(scope="module")
def account(stack):
    """A user: authenticated requests run more of the app's code."""
    return Account.register(stack.url)


def processes(stack) -> set[str]:
    """The processes of the server. A worker that is killed is replaced by one with another id."""
    lines = docker("top", stack.container("web"), "-e", "-o", "pid,args").stdout.splitlines()
    return {line for line in lines[1:] if "deploy/health" not in line}  # the container's health check


def attack(stack, account, path: str, kind: str, body: bytes) -> list[int]:
    """Send the body from all attackers at once, half of them anonymous. Return the statuses."""
    together, statuses = threading.Barrier(ATTACKERS), []

    def send(is_user: bool) -> None:
        session = requests.Session()
        if is_user and path.startswith("/api/"):
            session.headers["Authorization"] = f"Bearer {account.secret}"
        elif not path.startswith("/api/"):
            page = session.get(f"{stack.url}/login", timeout=60).text
            session.headers["X-CSRFToken"] = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', page)[1]
        together.wait()
        response = session.post(stack.url + path, data=body, headers={"Content-Type": kind}, timeout=60)
        statuses.append(response.status_code)

    threads = [threading.Thread(target=send, args=[number % 2 == 0]) for number in range(ATTACKERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return statuses


def watch(url: str, stopped: threading.Event, seen: Counter) -> None:
    """Request a page that needs the database, one after another, and count the statuses."""
    while not stopped.is_set():
        try:
            seen[requests.get(url, timeout=20).status_code] += 1
        except requests.RequestException as error:
            seen[type(error).__name__] += 1


@pytest.mark.parametrize("path", ["/login", POSTS])
def test_largest_bodies_kill_no_worker(stack, account, path, is_long):
    """Eight clients send 10 MB at once, in each form (every second one without --long): all are refused, no process
    ends, and no other request fails.
    """
    bodies = BODIES if is_long else BODIES[::2]
    before = processes(stack)
    stopped, seen, statuses = threading.Event(), Counter(), []
    bystander = threading.Thread(target=watch, args=[f"{stack.url}{POSTS}", stopped, seen])
    bystander.start()
    for kind, body in bodies:
        statuses += attack(stack, account, path, kind, body)
    stopped.set()
    bystander.join()
    assert len(statuses) == ATTACKERS * len(bodies)
    assert set(statuses) <= {401, 413, 415, 429}, Counter(statuses)
    assert list(seen) == [200] and seen[200] >= len(bodies), seen
    assert processes(stack) >= before
    assert stack.inspect("web", "{{.State.OOMKilled}} {{.RestartCount}}") == "false 0"
