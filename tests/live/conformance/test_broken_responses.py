"""Responses that break off, and exceptions of every kind: the same on each server, with and without Nginx in front."""

import time
import uuid
from collections.abc import Callable

import pytest

from deploy.settings import server_names
from tests.live.conformance.cases import request
from tests.live.conformance.everywhere import fetch, on_each, recover
from tests.live.conformance.wire import Connection
from tests.live.stack import Stack

EXCEPTIONS = (
    "RuntimeError",
    "ConnectionResetError",
    "MemoryError",
    "SystemExit",
    "KeyboardInterrupt",
    "GeneratorExit",
    "CancelledError",
)
LOGGED_WITHIN = 10  # seconds
DEATHS = ("kill", "exit", "segfault")
BODIES = [(size, length) for size in (2, 20_000) for length in ("", "&length")]


def broken_off(how: str) -> Callable[[Stack], list[tuple]]:
    """Return a function that requests bodies of each kind, which all break off in the middle in the same way."""

    def ask(stack: Stack) -> list[tuple]:
        results = []
        for size, length in BODIES:
            response = fetch(stack, f"/ten-parts?size={size}{length}", f"X-Fail: {how}")
            sent = b"".join(b"%d" % number * size for number in range(5))
            results.append((response.status, response.whole, sent.startswith(response.body)))
            recover(stack)
        return results

    return ask


@pytest.mark.parametrize("how", EXCEPTIONS + DEATHS)
def test_broken_response_is_incomplete(stacks, table, how):
    """A body that breaks off, by an exception or by the end of the process, reaches every client as incomplete and
    without delay, with and without a Content-Length.
    """
    results = on_each(stacks, broken_off(how))
    assert results == dict.fromkeys(stacks, [(200, False, True)] * len(BODIES))
    add_row(table, f"{how} in the middle of a body", "200, cut off", len(BODIES))


def test_interrupted_response_is_incomplete(without_nginx):
    """A body whose next part takes longer than REQUEST_TIMEOUT reaches the client as incomplete."""
    results = on_each(without_nginx, broken_off("stuck"))
    assert results == dict.fromkeys(without_nginx, [(200, False, True)] * len(BODIES))


def test_complete_response_is_complete(stacks, table):
    """A body without a failure is complete, byte for byte, also for HTTP/1.0 and HEAD requests."""

    def ask(stack: Stack) -> list[tuple]:
        results = []
        for size, length in BODIES:
            expected = b"".join(b"%d" % number * size for number in range(10))
            for version, method in (("1.1", "GET"), ("1.0", "GET"), ("1.1", "HEAD")):
                with Connection(stack.port, timeout=5) as connection:
                    target = f"/ten-parts?size={size}{length}"
                    connection.send(request(f"{method} {target}", version=f"HTTP/{version}"))
                    response = connection.read(head=method == "HEAD")
                body = expected if method == "GET" else b""
                results.append((response.status, response.whole, response.body == body))
        return results

    results = on_each(stacks, ask)
    assert results == dict.fromkeys(stacks, [(200, True, True)] * 3 * len(BODIES))
    add_row(table, "no failure, with and without a Content-Length", "200, whole", 3 * len(BODIES))


def test_half_page_is_not_cached(fleet, table):
    """A cacheable page that breaks off is not cached: the next client gets the whole page, which then is cached."""

    def ask(server) -> list[list[tuple]]:
        results = []
        for how in ("RuntimeError", "SystemExit", "kill"):
            for size, length in BODIES:
                target = f"/ten-parts/{uuid.uuid4()}?size={size}{length}&header=Cache-Control:%20public,%20s-maxage=60"
                answers = [fetch(server.stack, target, f"X-Fail: {how}")]
                recover(server.stack)
                answers.append(fetch(server.stack, target))
                results.append([(answer.whole, answer.get("x-cache")) for answer in answers])
                answers = [fetch(server.stack, target) for _ in range(3)]
                assert [len(answer.body) for answer in answers] == [10 * size] * 3
                assert answers[-1].get("x-cache") == "HIT"
        server.seen()
        return results

    results = fleet.on_each(ask)
    expected = [[(False, "MISS"), (True, "MISS")]] * 3 * len(BODIES)
    assert results == {server.name: expected for server in fleet.servers}
    add_row(table, "the same page again, which is cacheable", "200, whole, not from the cache", 3 * len(BODIES))


def wait_for_line(stack: Stack, *words: str) -> bool:
    """Wait for a log line that contains all words; the engine shows a line a moment after it is written."""
    deadline = time.monotonic() + LOGGED_WITHIN
    while time.monotonic() < deadline:
        if any(all(word in line for word in words) for line in stack.logs("web").splitlines()):
            return True
        time.sleep(0.2)
    return False


@pytest.mark.parametrize("how", EXCEPTIONS)
def test_exception_of_any_kind_is_500(stacks, table, how):
    """Any exception in a view is answered 500 and logged with its traceback, and other requests in the same process
    are not disturbed.
    """

    def ask(stack: Stack) -> tuple:
        name = uuid.uuid4()
        with Connection(stack.port, timeout=5) as other:
            other.send(request(f"GET /events/{name}"))
            other.read_until(b"data: first")
            response = fetch(stack, f"/fail/{how}", f"X-Request-ID: {name}")
            fetch(stack, f"/release/{name}")
            undisturbed = other.read()
        is_logged = wait_for_line(stack, f'"{name}"', how, "in _fail")
        return response.status, response.body, is_logged, undisturbed.body, undisturbed.whole

    results = on_each(stacks, ask)
    expected = (500, True, b"data: first\n\ndata: second\n\n", True)
    assert {name: (result[0], *result[2:]) for name, result in results.items()} == dict.fromkeys(stacks, expected)
    assert len({result[1] for result in results.values()}) == 1
    add_row(table, f"{how} in a view", "500")


@pytest.mark.parametrize("how", ["RuntimeError", "SystemExit"])
def test_exception_in_close(stacks, table, how):
    """An exception in the close() of a complete response changes neither this response nor the next one."""
    results = on_each(stacks, lambda stack: [fetch(stack, f"/fail-in-close/{how}") for _ in range(3)])
    for name, responses in results.items():
        got = [(response.status, response.whole, response.body) for response in responses]
        assert got == [(200, True, b"complete")] * 3, name
    add_row(table, f"{how} in the close() of a response", "200, whole", 3)


def test_events_arrive_at_once(stacks, table):
    """An event of a stream (SSE) arrives while the app waits for the next one, without a special header."""

    def ask(stack: Stack) -> tuple:
        name = uuid.uuid4()
        with Connection(stack.port, timeout=5) as connection:
            connection.send(request(f"GET /events/{name}"))
            connection.read_until(b"data: first\n\n")
            fetch(stack, f"/release/{name}")
            response = connection.read()
        return response.body, response.whole

    results = on_each(stacks, ask)
    assert results == dict.fromkeys(stacks, (b"data: first\n\ndata: second\n\n", True))
    add_row(table, "a stream of events", "each event at once")


def add_row(table, behaviour: str, expectation: str, count: int = 1) -> None:
    table.add("Broken-off responses", behaviour, expectation, dict.fromkeys(server_names(), f"= {count}"), count)
