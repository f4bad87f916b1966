"""Overload: excess requests are refused at once, and admitted requests are served at the usual speed."""

import asyncio
import time

import pytest

from tests.live.reliability import load

THREADS = 8  # 2 processes of 4
QUEUE = 16
WORK = 0.25  # seconds that a request takes
CAPACITY = THREADS / WORK  # requests a second
# Clients in a closed loop: fewer than THREADS + QUEUE, because a client may send its next request before the server has
# finished the previous one.
FULL = THREADS + QUEUE * 3 // 4
SECTION = "Overload"


@pytest.fixture(scope="module")
def stack(make_stack):
    return make_stack("probe.yml", WEB_CONCURRENCY="2", WEB_THREADS="4", WEB_QUEUE=str(QUEUE), RELEASE_COMMAND="true")


@pytest.fixture(scope="module")
def seconds(is_long) -> float:
    return 30 if is_long else 4


def test_ten_times_the_capacity(stack, server, seconds, record):
    """At ten times the capacity, excess requests get 503 with Retry-After, 99 % of them in less than 1 s. 99 % of the
    admitted requests take less than three times as long as at capacity on a busy machine, and within 5 s after the
    overload all requests are served again.
    """
    stack.up(WSGI_SERVER=server)
    host, path = load.address(stack), f"/sleep/{WORK}"
    full = asyncio.run(load.closed_loop(host, path, FULL, seconds / 2))
    answers = asyncio.run(load.open_loop(host, path, CAPACITY * 10, seconds))
    ended = time.monotonic()
    after = asyncio.run(load.closed_loop(host, path, THREADS, 1))
    admitted = [answer for answer in answers if answer.status == 200]
    refused = [answer for answer in answers if answer.status == 503]
    failed = len(answers) - len(admitted) - len(refused)
    at_capacity, overloaded = load.percentile(full, 0.99), load.percentile(admitted, 0.99)
    record(
        SECTION,
        f"requests at 10 × capacity for {seconds:.0f} s, {server}",
        len(answers),
        failed,
        f"{len(refused):,} got 503, 99 % of them in {load.percentile(refused, 0.99):.3f} s; "
        f"99 % of the admitted ones in {overloaded:.2f} s, at capacity {at_capacity:.2f} s",
    )
    assert {answer.status for answer in full} == {200}, "capacity itself is refused"
    assert failed == 0
    assert all(answer.headers.get("retry-after") for answer in refused)
    # The app keeps working at its capacity, and admits no more than its threads and queue hold.
    assert 0.7 * CAPACITY * seconds < len(admitted) < 1.2 * CAPACITY * seconds + THREADS + QUEUE
    assert load.percentile(refused, 0.99) < 1
    # On an idle machine it is less than twice; the report has the measured values.
    assert overloaded < 3 * max(at_capacity, (THREADS + QUEUE) / CAPACITY)
    assert {answer.status for answer in after} == {200} and time.monotonic() - ended < 5


def test_overload_has_its_own_error_page(stack):
    """Requests that exceed the queue get Nginx's error page at once, and Nginx still serves static files."""
    stack.up()
    host = load.address(stack)

    async def beyond() -> tuple[list[load.Answer], load.Answer]:
        requests = [asyncio.ensure_future(load.ask(host, "/sleep/1")) for _ in range(THREADS + QUEUE + 20)]
        await asyncio.sleep(0.5)
        static = await load.ask(host, "/static/missing.css")
        return await asyncio.gather(*requests), static

    answers, static = asyncio.run(beyond())
    statuses = sorted(answer.status for answer in answers)
    assert set(statuses) == {200, 503} and statuses.count(503) >= 10
    refused = next(answer for answer in answers if answer.status == 503)
    assert refused.headers["content-type"] == "text/html" and refused.headers["retry-after"] == "5"
    assert refused.headers["cache-control"] == "no-store" and refused.headers["x-request-id"]
    assert static.status == 404
