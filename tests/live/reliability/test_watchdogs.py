"""The stack recovers to full capacity when a worker, the master process or the whole server fails."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.live.reliability import load
from tests.live.reliability.capacity import (
    BACK_WITHIN,
    THREADS,
    TIMEOUT,
    host,
    recovery,
    start_stacks,
    until_whole,
    workers,
)
from tests.live.stack import docker, image_name, run_image

RESTARTED_WITHIN = 120  # seconds until the health check of a server that does not answer restarts it
SECTION = "Watchdogs"


@pytest.fixture(scope="module")
def stacks(make_stack):
    return start_stacks(make_stack, "frequent-health-checks.yml")


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


def test_no_zombies(stacks, server):
    """The server, as process 1, reaps its children: the process of the handover does not stay a zombie."""
    deadline = time.monotonic() + BACK_WITHIN  # uWSGI's master checks once a second
    while found := zombies(stacks[server]):
        assert time.monotonic() < deadline, f"zombies remain: {found}"
        time.sleep(0.1)


def zombies(stack) -> list[str]:
    states = docker("exec", stack.container("web"), "sh", "-c", "cat /proc/[0-9]*/stat 2>/dev/null", check=False).stdout
    return [line for line in states.splitlines() if line.rpartition(")")[2].split()[0] == "Z"]


def test_killed_worker(stacks, server, load_seconds, record):
    """kill -9 of a worker under load fails at most the requests in that worker, and a new worker replaces it within
    30 s on a busy machine.
    """
    stack = stacks[server]
    victim, container = min(asyncio.run(workers(stack))), stack.container("web")

    async def under_load() -> tuple[list[load.Answer], float]:
        requests = asyncio.ensure_future(load.closed_loop(host(stack), "/sleep/0.05", 16, load_seconds))
        await asyncio.sleep(load_seconds / 2)
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
    assert len(answers) > 100


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
