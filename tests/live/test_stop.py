"""Stopping a server loses no request, and stuck requests are ended."""

import threading

import pytest
import requests

from tests.live.stack import docker


@pytest.fixture(scope="module")
def stack(make_stack):
    # One process, so that blocking it blocks the server.
    return make_stack("probe.yml", WEB_CONCURRENCY="1", RELEASE_COMMAND="true")


def in_background(url: str):
    """Send a request in a thread and return a function that waits for the response."""
    answers: list = []
    thread = threading.Thread(target=lambda: answers.append(requests.get(url, timeout=30)))
    thread.start()

    def wait():
        thread.join()
        assert answers, "the connection was cut: see the traceback of the thread above"
        return answers[0]

    return wait


def wait_until_in_flight(stack, path: str) -> None:
    """Wait until the probe logs that it works on the request. Fail after about 10 s."""
    for _ in range(100):
        if f"at work on {path}" in stack.logs("web"):
            return
    raise AssertionError(f"{path} never reached the app")


def test_stop_finishes_in_flight_requests(stack, server):
    """`docker compose stop` lets a request of 5 s finish, and the web container exits with status 0."""
    stack.up(WSGI_SERVER=server, REQUEST_TIMEOUT="8")
    answer = in_background(f"{stack.url}/sleep/5")
    wait_until_in_flight(stack, "/sleep/5")
    stack.compose("stop", "web")
    assert answer().status_code == 200
    assert stack.inspect("web", "{{.State.ExitCode}}") == "0"


def test_no_zombies(stack, server):
    """The server, as process 1, reaps its children: the process of the handover does not stay a zombie."""
    stack.up(WSGI_SERVER=server, REQUEST_TIMEOUT="8")
    for _ in range(100):  # uWSGI's master checks once a second
        if not zombies(stack):
            return
    raise AssertionError(f"zombies remain: {zombies(stack)}")


def zombies(stack) -> list[str]:
    states = docker("exec", stack.container("web"), "sh", "-c", "cat /proc/[0-9]*/stat 2>/dev/null", check=False).stdout
    return [line for line in states.splitlines() if line.rpartition(")")[2].split()[0] == "Z"]


def test_nginx_stops_gracefully(stack):
    """Nginx finishes its in-flight requests when it is stopped, and exits with status 0."""
    stack.up(REQUEST_TIMEOUT="8")
    answer = in_background(f"{stack.url}/sleep/3")
    wait_until_in_flight(stack, "/sleep/3")
    stack.compose("stop", "nginx")
    assert answer().status_code == 200
    assert stack.inspect("nginx", "{{.State.ExitCode}}") == "0"


def test_stuck_in_python(stack, server):
    """A request that never ends gets 504 after REQUEST_TIMEOUT on every server, and its traceback is logged."""
    stack.up(WSGI_SERVER=server, REQUEST_TIMEOUT="2")
    assert requests.get(f"{stack.url}/spin", timeout=20).status_code == 504
    assert requests.get(f"{stack.url}/echo", timeout=10).status_code == 200
    assert "in _spin" in stack.logs("web")


def test_stuck_in_c(stack, server):
    """A worker process whose threads are stuck in C code is replaced: the clients get 504, and the server answers again
    without intervention.
    """
    stack.up(WSGI_SERVER=server, REQUEST_TIMEOUT="2")
    stuck = [in_background(f"{stack.url}/sleep/60") for _ in range(4)]  # WEB_THREADS
    assert {answer().status_code for answer in stuck} == {504}
    stack.up()
    assert requests.get(f"{stack.url}/echo", timeout=10).status_code == 200
