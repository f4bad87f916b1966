"""A stuck request costs itself alone: the other requests of its worker process are answered."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest

from deploy.settings import server_names
from tests.live.in_flight import logged
from tests.live.reliability import load
from tests.live.reliability.capacity import host
from tests.live.stack import Stack

THREADS, TIMEOUT, ROUNDS = 4, 2, 3
ROUND = 8  # seconds; the worker process is replaced in the middle of each round
SECTION = "Watchdogs"


@pytest.fixture(scope="module")
def stacks(make_stack):
    """A stack with a single worker process for each server, so that all requests share it."""
    settings = {"WEB_CONCURRENCY": "1", "WEB_THREADS": str(THREADS), "REQUEST_TIMEOUT": str(TIMEOUT)}
    made = {
        name: make_stack("probe.yml", WSGI_SERVER=name, RELEASE_COMMAND="true", **settings) for name in server_names()
    }
    with ThreadPoolExecutor() as pool:
        list(pool.map(Stack.up, made.values()))
    return made


def test_stuck_request_costs_itself_alone(stacks, record):
    """A request that is stuck in C code gets 504 and its worker process is replaced, while every other request is
    answered: those in the same process, a stream of events that is silent for longer than REQUEST_TIMEOUT, and those
    that wait for the new process.
    """

    async def one_round(stack) -> tuple[load.Answer, list[load.Answer], load.Answer]:
        others = asyncio.ensure_future(load.closed_loop(host(stack), "/sleep/0.7", THREADS, ROUND))
        await asyncio.sleep(0.5)
        stuck = asyncio.ensure_future(load.ask(host(stack), "/sleep/60"))
        await asyncio.sleep(0.5)
        return await asyncio.gather(stuck, others, load.ask(host(stack), "/silent-events/4"))

    def rounds(stack) -> list[tuple]:
        return [asyncio.run(one_round(stack)) for _ in range(ROUNDS)]

    with ThreadPoolExecutor() as pool:
        results = dict(zip(stacks, pool.map(rounds, stacks.values()), strict=True))
    for name, seen in results.items():
        bystanders = [answer for _, others, events in seen for answer in (*others, events)]
        failed = [answer.status for answer in bystanders if answer.status != 200]
        record(SECTION, f"requests beside one that is stuck in C code, {name}", len(bystanders), len(failed), "")
    for name, seen in results.items():
        assert [stuck.status for stuck, _, _ in seen] == [504] * ROUNDS, name
        assert {answer.status for _, others, _ in seen for answer in others} == {200}, name
        assert all(b"second" in events.body for _, _, events in seen), name
        assert logged(stacks[name].container("web"), "is stuck and cannot be interrupted") == ROUNDS, name
