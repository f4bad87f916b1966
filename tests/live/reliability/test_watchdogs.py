"""Whatever becomes of a worker, its master or the whole server, the stack answers again by itself, at full strength."""

import asyncio
import functools
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from deploy.settings import server_names
from tests.live.reliability import load
from tests.live.stack import Stack, docker, image_name, run_image

WORKERS, THREADS, TIMEOUT = 2, 3, 2
BACK_WITHIN = 30  # seconds; the promises are shorter and stand in the report, this is for a busy machine
SECTION = "Watchdogs"
LOAD = 4  # seconds


@pytest.fixture(scope="module")
def stacks(make_stack):
    """One stack for each server; what takes long is done to all at once."""
    settings = {"WEB_CONCURRENCY": str(WORKERS), "WEB_THREADS": str(THREADS), "REQUEST_TIMEOUT": str(TIMEOUT)}
    made = {
        name: make_stack("probe.yml", WSGI_SERVER=name, RELEASE_COMMAND="true", **settings) for name in server_names()
    }
    with ThreadPoolExecutor() as pool:
        list(pool.map(Stack.up, made.values()))
    return made


@functools.cache
def host(stack) -> str:
    """Nginx stays where it is, whatever becomes of the container behind it."""
    return load.address(stack)


def on_the_host(*command: str) -> None:
    """Runs a command as root among all processes of the machine: process 1 hears no SIGKILL from inside."""
    run_image(
        "--pid",
        "host",
        "--user",
        "0",
        "--cap-add",
        "KILL",
        "--network",
        "none",
        image_name("nginx"),
        "sh",
        "-c",
        " ".join(command),
    )


def main_process(stack) -> str:
    return stack.inspect("web", "{{.State.Pid}}")


async def workers(stack) -> set[str]:
    """The processes that run Python code of the app, as the app itself names them."""
    asked = (load.ask(host(stack), "/process") for _ in range(WORKERS * THREADS * 2))
    return {answer.body.decode() for answer in await asyncio.gather(*asked) if answer.status == 200}


async def until_whole(stack, gone: set[str] = frozenset()) -> float:
    """How many seconds it takes until all workers answer again, none of them one of those that are gone."""
    started = time.monotonic()
    while len(await workers(stack) - gone) < WORKERS:
        assert time.monotonic() - started < BACK_WITHIN, stack.logs("web")
    return time.monotonic() - started


def seconds_until_whole(stack, gone: set[str] = frozenset()) -> float:
    return asyncio.run(until_whole(stack, gone))


def test_killed_worker(stacks, server, record):
    """kill -9 of a worker under load fails at most the requests inside it, and another one takes its place."""
    stack = stacks[server]
    victim, container = min(asyncio.run(workers(stack))), stack.container("web")

    async def under_load() -> tuple[list[load.Answer], float]:
        asked = asyncio.ensure_future(load.closed_loop(host(stack), "/sleep/0.05", 16, LOAD))
        await asyncio.sleep(LOAD / 2)
        await asyncio.to_thread(docker, "exec", container, "sh", "-c", f"kill -9 {victim}")
        seconds = await until_whole(stack, {victim})
        return await asked, seconds

    answers, seconds = asyncio.run(under_load())
    failed = sum(answer.status != 200 for answer in answers)
    record(
        SECTION,
        f"requests while a worker of {THREADS} threads gets SIGKILL, {server}",
        len(answers),
        failed,
        f"all workers there again after {seconds:.1f} s, under the same load",
    )
    assert failed <= THREADS
    assert len(answers) > 200


def test_all_threads_stuck(stacks, server, record):
    """When every thread of every worker is stuck, in Python or in C, all get 504 and REQUEST_TIMEOUT + 5 s later the
    server works at full strength.
    """
    stack = stacks[server]
    for kind in ("spin", "sleep/60"):

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
            f"504 for each; full strength after {seconds:.1f} s, REQUEST_TIMEOUT {TIMEOUT} s",
        )
        assert wrong == []
        assert seconds < TIMEOUT + BACK_WITHIN


def test_killed_master(stacks, server, record):
    """kill -9 of the server's first process ends the container, and the restart policy brings it back."""
    stack = stacks[server]
    started = time.monotonic()
    on_the_host("kill", "-9", main_process(stack))
    seconds_until_whole(stack)
    seconds = time.monotonic() - started
    record(SECTION, f"kill -9 of the server's first process, {server}", 1, 0, f"back after {seconds:.1f} s")


def test_dead_server(stacks, record):
    """A server that is alive and answers nobody, here because all its processes are stopped, is started again by its
    health check; other containers are left alone.
    """

    def stop(stack) -> float:
        pids = docker("top", stack.container("web"), "-o", "pid").stdout.split()[1:]
        before = stack.inspect("web", "{{.State.StartedAt}}")
        on_the_host("kill", "-STOP", *pids)
        started = time.monotonic()
        while stack.inspect("web", "{{.State.StartedAt}}") == before:
            assert time.monotonic() - started < 120, stack.logs("web")
            time.sleep(0.5)
        seconds_until_whole(stack)
        return time.monotonic() - started

    nginx = {name: stack.inspect("nginx", "{{.State.StartedAt}}") for name, stack in stacks.items()}
    with ThreadPoolExecutor() as pool:
        seconds = dict(zip(stacks, pool.map(stop, stacks.values()), strict=True))
    for name, stack in stacks.items():
        record(
            SECTION,
            f"all processes of the server stopped, {name}",
            1,
            0,
            f"back after {seconds[name]:.0f} s, REQUEST_TIMEOUT {TIMEOUT} s",
        )
        assert "answered nobody for" in stack.logs("web")
        assert stack.inspect("nginx", "{{.State.StartedAt}}") == nginx[name]


def test_no_descriptors(stacks, server, record):
    """A process that has hardly any file descriptor left is replaced before a request fails of it. One that suddenly
    has none at all fails the request that wants one, and no other; with mod_wsgi at most those inside that process.
    """
    stack = stacks[server]
    seconds_until_whole(stack)
    started = stack.inspect("web", "{{.State.StartedAt}}")

    async def under_load(how_long: str) -> tuple[list[load.Answer], load.Answer]:
        others = asyncio.ensure_future(load.closed_loop(host(stack), "/sleep/0.05", WORKERS * THREADS, LOAD))
        await asyncio.sleep(LOAD / 4)
        taker = await load.ask(host(stack), f"/take-descriptors/{how_long}")
        return await others, taker

    taken = {"all-but-ten": "all but ten", "0.7": "all, for 0.7 s", "for-ever": "all, for ever"}
    seen = {}
    for how_long, what in taken.items():
        others, taker = asyncio.run(under_load(how_long))
        failed = [answer.status for answer in others if answer.status != 200]
        seconds = seconds_until_whole(stack, {taker.body.decode()})
        record(
            SECTION,
            f"requests beside one that takes file descriptors, {what}, {server}",
            len(others),
            len(failed),
            f"itself {taker.status}; all workers there again {seconds:.1f} s after the load's end",
        )
        assert len(others) > 50
        seen[how_long] = (taker.status, failed)
    assert seen.pop("all-but-ten") == (200, [])
    if server == "mod_wsgi":  # 6.1.1 does not look whether it could accept a connection
        assert {status for status, _ in seen.values()} <= {200, 500, 502}
        assert max(len(failed) for _, failed in seen.values()) <= THREADS
    else:
        assert seen == {"0.7": (500, []), "for-ever": (200, [])}
    assert stack.inspect("web", "{{.State.StartedAt}}") == started
