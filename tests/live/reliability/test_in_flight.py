"""In-flight requests are answered when a server or Nginx stops."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from tests.live.in_flight import in_background, wait_until_in_flight
from tests.live.stack import docker

SECTION = "Stopping"
THREADS = 100  # of each of two worker processes
RESTARTED_WITHIN = 60  # seconds on a busy machine
SECONDS = 3  # that each request takes: all of them must be in flight before the first one ends


@pytest.fixture(scope="module")
def in_flight(is_long) -> int:
    """The number of requests that are in flight at once."""
    return 2 * THREADS if is_long else THREADS


@pytest.fixture(scope="module")
def stack(make_stack):
    return make_stack("probe.yml", WEB_CONCURRENCY="2", WEB_THREADS=str(THREADS), RELEASE_COMMAND="true")


def lost(stack, in_flight: int, path: str, stop) -> list[str]:
    """Call `stop` while requests for the path are in flight. Return the results other than 200."""
    with ThreadPoolExecutor(in_flight) as pool:
        answers = [pool.submit(outcome, stack.url + path) for _ in range(in_flight)]
        wait_until_in_flight(stack, path, in_flight)
        stop()
        return [answer.result() for answer in answers if answer.result() != "200"]


def outcome(url: str) -> str:
    try:
        return str(requests.get(url, timeout=60).status_code)
    except requests.RequestException as error:
        return type(error).__name__


def await_restart(stack, started: str) -> None:
    """Wait until Docker has restarted the web container, which ran since `started`, and it is healthy again.

    A container ignores SIGTERM until its server has started: the next test would stop it only after 65 s.
    """
    deadline = time.monotonic() + RESTARTED_WITHIN
    while stack.inspect("web", "{{.State.StartedAt}}") == started:
        assert time.monotonic() < deadline, "the container was not restarted"
        time.sleep(0.1)
    stack.up()


def test_stop_finishes_in_flight_requests(stack, server, in_flight, record):
    """`docker compose stop` lets all in-flight requests finish, and the web container exits with status 0."""
    stack.up(WSGI_SERVER=server)
    wrong = lost(stack, in_flight, f"/sleep/{SECONDS}", lambda: stack.compose("stop", "web"))
    record(SECTION, f"requests in flight at `docker compose stop`, {server}", in_flight, len(wrong))
    assert wrong == []
    assert stack.inspect("web", "{{.State.ExitCode}}") == "0"


def test_sigterm_to_every_process(stack, server, in_flight, record):
    """SIGTERM to every process of the container, as Heroku sends it, lets all in-flight requests finish.

    Except with mod_wsgi, which Heroku does not have: Apache cuts requests on SIGTERM. The report contains its number.
    """
    stack.up(WSGI_SERVER=server)
    container, started = stack.container("web"), stack.inspect("web", "{{.State.StartedAt}}")
    path = f"/sleep/sigterm/{SECONDS}"  # another one: the container's log still has the requests of the test before
    wrong = lost(stack, in_flight, path, lambda: docker("exec", container, "sh", "-c", "kill -TERM -1; kill -TERM 1"))
    note = (
        "Apache's child processes exit at once on SIGTERM; only the container's process 1 translates the signal"
        if server == "mod_wsgi"
        else ""
    )
    record(SECTION, f"requests in flight at SIGTERM to every process, {server}", in_flight, len(wrong), note)
    assert server == "mod_wsgi" or wrong == []
    await_restart(stack, started)


def test_nginx_stops_gracefully(stack):
    """Nginx finishes its in-flight requests when it is stopped, and exits with status 0."""
    stack.up()
    path = f"/sleep/nginx/{SECONDS}"
    answer = in_background(stack.url + path)
    wait_until_in_flight(stack, path)
    stack.compose("stop", "nginx")
    assert answer().status_code == 200
    assert stack.inspect("nginx", "{{.State.ExitCode}}") == "0"
