"""The stack recovers to full capacity when all threads are stuck, or a process runs out of file descriptors."""

import asyncio
import time

import pytest

from tests.live.in_flight import wait_until_logged
from tests.live.reliability import load
from tests.live.reliability.capacity import (
    BACK_WITHIN,
    THREADS,
    TIMEOUT,
    WORKERS,
    host,
    seconds_until_whole,
    start_stacks,
)

SECTION = "Watchdogs"


@pytest.fixture(scope="module")
def stacks(make_stack):
    return start_stacks(make_stack)


def test_all_threads_stuck(stacks, server, record):
    """When every thread of every worker is stuck, in Python or in C code, all requests get 504, their tracebacks are
    logged, and the server has its full capacity again within REQUEST_TIMEOUT + 30 s on a busy machine.
    """
    stack = stacks[server]
    for kind, function in (("spin", "_spin"), ("sleep/60", "_sleep")):

        async def stick(path=f"/{kind}") -> list[load.Answer]:
            return await asyncio.gather(*(load.ask(host(stack), path) for _ in range(WORKERS * THREADS)))

        seconds_until_whole(stack)
        started = time.monotonic()
        answers = asyncio.run(stick())
        seconds_until_whole(stack)
        seconds = time.monotonic() - started
        wrong = [answer.status for answer in answers if answer.status != 504]
        record(
            SECTION,
            f"threads stuck at once in /{kind}, {server}",
            len(answers),
            len(wrong),
            f"504 for each; full capacity after {seconds:.1f} s, REQUEST_TIMEOUT {TIMEOUT} s",
        )
        assert wrong == []
        assert seconds < TIMEOUT + BACK_WITHIN
        wait_until_logged(stack.container("web"), f"in {function}", WORKERS * THREADS)


def test_exhausted_file_descriptors(stacks, server, load_seconds, record):
    """A process that is about to run out of file descriptors is replaced before a request fails. If it loses all of
    them at once, only the request that needs one fails; with mod_wsgi, at most the requests in that process.
    """
    stack = stacks[server]
    seconds_until_whole(stack)
    started = stack.inspect("web", "{{.State.StartedAt}}")

    async def under_load(duration: str) -> tuple[list[load.Answer], load.Answer]:
        others = asyncio.ensure_future(load.closed_loop(host(stack), "/sleep/0.05", WORKERS * THREADS, load_seconds))
        await asyncio.sleep(load_seconds / 2)
        taker = await load.ask(host(stack), f"/take-descriptors/{duration}")
        return await others, taker

    variants = {"all-but-ten": "all but ten", "0.7": "all, for 0.7 s", "for-ever": "all, for ever"}
    seen = {}
    for duration, what in variants.items():
        others, taker = asyncio.run(under_load(duration))
        failed = [answer.status for answer in others if answer.status != 200]
        seconds = seconds_until_whole(stack, {taker.body.decode()})
        record(
            SECTION,
            f"requests alongside one that takes file descriptors, {what}, {server}",
            len(others),
            len(failed),
            f"itself {taker.status}; all workers back {seconds:.1f} s after the end of the load",
        )
        assert len(others) > 50
        seen[duration] = (taker.status, failed)
    assert seen.pop("all-but-ten") == (200, [])
    if server == "mod_wsgi":  # mod_wsgi 6.1.1 does not check whether it can accept a connection
        assert {status for status, _ in seen.values()} <= {200, 500, 502}
        assert max(len(failed) for _, failed in seen.values()) <= THREADS
    else:
        assert seen == {"0.7": (500, []), "for-ever": (200, [])}
    assert stack.inspect("web", "{{.State.StartedAt}}") == started
