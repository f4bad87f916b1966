"""The capacity of a server: all its worker processes answer. One stack for each server, all started in parallel."""

import asyncio
import functools
import time
from concurrent.futures import ThreadPoolExecutor

from deploy.settings import server_names
from tests.live.reliability import load
from tests.live.stack import Stack

WORKERS, THREADS, TIMEOUT = 2, 3, 2
BACK_WITHIN = 30  # seconds on a busy machine; the report has the measured values


def start_stacks(make_stack, *files: str) -> dict[str, Stack]:
    """Start a stack with the probe for each server, by its name. `files` are further Compose files."""
    settings = {"WEB_CONCURRENCY": str(WORKERS), "WEB_THREADS": str(THREADS), "REQUEST_TIMEOUT": str(TIMEOUT)}
    made = {
        name: make_stack("probe.yml", *files, WSGI_SERVER=name, RELEASE_COMMAND="true", **settings)
        for name in server_names()
    }
    with ThreadPoolExecutor() as pool:
        list(pool.map(Stack.up, made.values()))
    return made


@functools.cache
def host(stack) -> str:
    """Return Nginx's address, which does not change while the web container restarts."""
    return load.address(stack)


async def workers(stack) -> set[str]:
    """Return the ids of the worker processes, as reported by the app."""
    requests = (load.ask(host(stack), "/process") for _ in range(WORKERS * THREADS * 2))
    return {answer.body.decode() for answer in await asyncio.gather(*requests) if answer.status == 200}


async def until_whole(stack, gone: set[str] = frozenset()) -> float:
    """Return the seconds until all workers answer again, without those in `gone`."""
    seconds, is_whole = await recovery(stack, gone)
    assert is_whole, stack.logs("web")
    return seconds


async def recovery(stack, gone: set[str] = frozenset()) -> tuple[float, bool]:
    """Wait until all workers answer again. Return the seconds, and whether they did within BACK_WITHIN."""
    started = time.monotonic()
    while (is_missing := len(await workers(stack) - gone) < WORKERS) and time.monotonic() - started < BACK_WITHIN:
        pass
    return time.monotonic() - started, not is_missing


def seconds_until_whole(stack, gone: set[str] = frozenset()) -> float:
    return asyncio.run(until_whole(stack, gone))
