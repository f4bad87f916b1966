"""The stack recovers to full capacity when a worker, the master process or the whole server fails."""

import asyncio
import functools
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from deploy.settings import server_names
from tests.live.reliability import load
from tests.live.stack import Stack, docker, image_name, run_image

WORKERS, THREADS, TIMEOUT = 2, 3, 2
BACK_WITHIN = 30  # seconds on a busy machine; the report has the measured values
RESTARTED_WITHIN = 120  # seconds until the health check of a server that does not answer restarts it
SECTION = "Watchdogs"
LOAD_SECONDS = 4


@pytest.fixture(scope="module")
def stacks(make_stack):
    """One stack for each server, all started in parallel."""
    settings = {"WEB_CONCURRENCY": str(WORKERS), "WEB_THREADS": str(THREADS), "REQUEST_TIMEOUT": str(TIMEOUT)}
    made = {
        name: make_stack("probe.yml", WSGI_SERVER=name, RELEASE_COMMAND="true", **settings) for name in server_names()
    }
    with ThreadPoolExecutor() as pool:
        list(pool.map(Stack.up, made.values()))
    return made


@functools.cache
def host(stack) -> str:
    """Return Nginx's address, which does not change while the web container restarts."""
    return load.address(stack)


def on_the_host(*command: str) -> None:
    """Run a command as root in the host's PID namespace: process 1 ignores SIGKILL from inside its own namespace."""
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
    """Return the id of the server's main process, the child of process 1 (deploy/raw_output.py)."""
    first = stack.inspect("web", "{{.State.Pid}}")
    processes = [line.split() for line in docker("top", stack.container("web"), "-o", "pid,ppid").stdout.splitlines()]
    (server,) = [pid for pid, parent in processes if parent == first]
    return server


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


def test_killed_worker(stacks, server, record):
    """kill -9 of a worker under load fails at most the requests in that worker, and a new worker replaces it within
    30 s on a busy machine.
    """
    stack = stacks[server]
    victim, container = min(asyncio.run(workers(stack))), stack.container("web")

    async def under_load() -> tuple[list[load.Answer], float]:
        requests = asyncio.ensure_future(load.closed_loop(host(stack), "/sleep/0.05", 16, LOAD_SECONDS))
        await asyncio.sleep(LOAD_SECONDS / 2)
        await asyncio.to_thread(docker, "exec", container, "sh", "-c", f"kill -9 {victim}")
        seconds = await until_whole(stack, {victim})
        return await requests, seconds

    answers, seconds = asyncio.run(under_load())
    failed = sum(answer.status != 200 for answer in answers)
    record(
        SECTION,
        f"requests while a worker with {THREADS} threads gets SIGKILL, {server}",
        len(answers),
        failed,
        f"all workers back after {seconds:.1f} s, under the same load",
    )
    assert failed <= THREADS
    assert len(answers) > 200


def test_all_threads_stuck(stacks, server, record):
    """When every thread of every worker is stuck, in Python or in C code, all requests get 504, and the server has its
    full capacity again within REQUEST_TIMEOUT + 30 s on a busy machine.
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
            f"504 for each; full capacity after {seconds:.1f} s, REQUEST_TIMEOUT {TIMEOUT} s",
        )
        assert wrong == []
        assert seconds < TIMEOUT + BACK_WITHIN


def test_killed_master(stacks, server, record):
    """kill -9 of the server's main process ends the container, and the restart policy restarts it: all workers are back
    within 30 s on a busy machine.
    """
    stack = stacks[server]
    before, started = stack.inspect("web", "{{.State.StartedAt}}"), time.monotonic()
    on_the_host("kill", "-9", main_process(stack))
    _, is_whole = asyncio.run(recovery(stack))
    seconds = time.monotonic() - started
    is_restarted = stack.inspect("web", "{{.State.StartedAt}}") != before
    failed = not (is_whole and is_restarted)
    remark = f"not back after {seconds:.1f} s" if failed else f"back after {seconds:.1f} s"
    record(SECTION, f"kill -9 of the server's main process, {server}", 1, int(failed), remark)
    assert (is_whole, is_restarted) == (True, True), stack.logs("web")


def test_dead_server(stacks, record):
    """A server that runs but does not answer, here because all its processes are stopped, is restarted by its health
    check within 120 s on a busy machine. Other containers are not restarted.
    """

    def stop(stack) -> tuple[float, bool]:
        """Return the seconds until all workers are back, and whether they are."""
        pids = docker("top", stack.container("web"), "-o", "pid").stdout.split()[1:]
        before = stack.inspect("web", "{{.State.StartedAt}}")
        on_the_host("kill", "-STOP", *pids, "|| true")  # a health check of this list may have ended since
        started = time.monotonic()
        while stack.inspect("web", "{{.State.StartedAt}}") == before:
            if time.monotonic() - started > RESTARTED_WITHIN:
                return time.monotonic() - started, False
            time.sleep(0.5)
        _, is_whole = asyncio.run(recovery(stack))
        return time.monotonic() - started, is_whole

    nginx = {name: stack.inspect("nginx", "{{.State.StartedAt}}") for name, stack in stacks.items()}
    with ThreadPoolExecutor() as pool:
        results = dict(zip(stacks, pool.map(stop, stacks.values()), strict=True))
    for name, (seconds, is_back) in results.items():
        record(
            SECTION,
            f"all processes of the server stopped, {name}",
            1,
            int(not is_back),
            f"{'back' if is_back else 'not back'} after {seconds:.0f} s, REQUEST_TIMEOUT {TIMEOUT} s",
        )
    for name, stack in stacks.items():
        assert results[name][1], stack.logs("web")
        assert "the server has not answered for" in stack.logs("web")
        assert stack.inspect("nginx", "{{.State.StartedAt}}") == nginx[name]


def test_exhausted_file_descriptors(stacks, server, record):
    """A process that is about to run out of file descriptors is replaced before a request fails. If it loses all of
    them at once, only the request that needs one fails; with mod_wsgi, at most the requests in that process.
    """
    stack = stacks[server]
    seconds_until_whole(stack)
    started = stack.inspect("web", "{{.State.StartedAt}}")

    async def under_load(duration: str) -> tuple[list[load.Answer], load.Answer]:
        others = asyncio.ensure_future(load.closed_loop(host(stack), "/sleep/0.05", WORKERS * THREADS, LOAD_SECONDS))
        await asyncio.sleep(LOAD_SECONDS / 4)
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
