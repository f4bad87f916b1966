"""In-flight requests are answered when a server stops: 200 requests for each server."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from tests.live.stack import docker

SECTION = "Stopping"
IN_FLIGHT = 200
SECONDS = 4  # that each request takes


@pytest.fixture(scope="module")
def stack(make_stack):
    return make_stack("probe.yml", WEB_CONCURRENCY="2", WEB_THREADS=str(IN_FLIGHT // 2), RELEASE_COMMAND="true")


def lost(stack, stop) -> list[str]:
    """Call `stop` while IN_FLIGHT requests are in flight. Return the results other than 200."""
    path = f"/sleep/{SECONDS}"
    with ThreadPoolExecutor(IN_FLIGHT) as pool:
        answers = [pool.submit(outcome, stack.url + path) for _ in range(IN_FLIGHT)]
        wait_until_in_flight(stack, path)
        stop()
        return [answer.result() for answer in answers if answer.result() != "200"]


def outcome(url: str) -> str:
    try:
        return str(requests.get(url, timeout=60).status_code)
    except requests.RequestException as error:
        return type(error).__name__


def wait_until_in_flight(stack, path: str) -> None:
    """Wait until the app works on all requests."""
    for _ in range(100):
        if docker("logs", stack.container("web")).stderr.count(f"at work on {path}") >= IN_FLIGHT:
            return
        threading.Event().wait(0.05)
    raise AssertionError("not all requests have reached the app")


def test_compose_stop(stack, server, record):
    """`docker compose stop` of the web container lets all 200 in-flight requests finish with 200."""
    stack.up(WSGI_SERVER=server)
    wrong = lost(stack, lambda: stack.compose("stop", "web"))
    record(SECTION, f"requests in flight at `docker compose stop`, {server}", IN_FLIGHT, len(wrong))
    assert wrong == []
    assert stack.inspect("web", "{{.State.ExitCode}}") == "0"


def test_sigterm_to_every_process(stack, server, record):
    """SIGTERM to every process of the container, as Heroku sends it, lets all 200 in-flight requests finish.

    Except with mod_wsgi, which Heroku does not have: Apache cuts requests on SIGTERM. The report contains its number.
    """
    stack.up(WSGI_SERVER=server)
    container = stack.container("web")
    wrong = lost(stack, lambda: docker("exec", container, "sh", "-c", "kill -TERM -1; kill -TERM 1"))
    note = (
        "Apache's child processes exit at once on SIGTERM; only the container's process 1 translates the signal"
        if server == "mod_wsgi"
        else ""
    )
    record(SECTION, f"requests in flight at SIGTERM to every process, {server}", IN_FLIGHT, len(wrong), note)
    assert server == "mod_wsgi" or wrong == []
