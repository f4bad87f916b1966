"""Large downloads by slow clients arrive whole, and leave the other clients served."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest

from deploy.settings import server_names
from tests.live.reliability import load
from tests.live.reliability.capacity import host
from tests.live.reliability.load import MEGABYTE, download
from tests.live.stack import Stack

TIMEOUT = 2  # REQUEST_TIMEOUT
SERVED_WITHIN = 30  # seconds on a busy machine
SECTION = "Large downloads"
LARGE = 1000  # MB
DOWNLOADS = 8
DEFAULT_THREADS = {"WEB_CONCURRENCY": "2", "WEB_THREADS": "4", "RELEASE_COMMAND": "true"}


@pytest.fixture(scope="module")
def stacks(make_stack):
    """A stack for each server whose Nginx buffers 12 MB of a response."""
    settings = {"WEB_CONCURRENCY": "1", "WEB_THREADS": "3", "REQUEST_TIMEOUT": str(TIMEOUT), "STREAM_TIMEOUT": "2"}
    made = {
        name: make_stack(
            "probe.yml",
            "small-temp-file.yml",
            "frequent-health-checks.yml",
            WSGI_SERVER=name,
            RELEASE_COMMAND="true",
            **settings,
        )
        for name in server_names()
    }
    with ThreadPoolExecutor() as pool:
        list(pool.map(Stack.up, made.values()))
    return made


def test_slow_downloads_arrive_whole(stacks, record):
    """A response that is larger than Nginx's buffer reaches a slow client whole, with and without a Content-Length.

    Nginx reads nothing for 10 s, while the client catches up: longer than any timeout of the servers. All three threads
    send meanwhile, for longer than a server without a heartbeat would survive.
    """
    paths = ("/big?mb=40&length", "/big?mb=40", "/big?mb=40&length")

    async def downloads(stack) -> list[int]:
        return await asyncio.gather(*(download(host(stack), path, rate=1.2) for path in paths))

    started = {name: stack.inspect("web", "{{.State.StartedAt}}") for name, stack in stacks.items()}
    with ThreadPoolExecutor() as pool:
        results = dict(zip(stacks, pool.map(lambda stack: asyncio.run(downloads(stack)), stacks.values()), strict=True))
    for name, sizes in results.items():
        cut_off = sum(size != 40 * MEGABYTE for size in sizes)
        record(SECTION, f"downloads of a slow client beyond the buffer of Nginx, {name}", len(sizes), cut_off, "")
    assert results == dict.fromkeys(stacks, [40 * MEGABYTE] * len(paths))
    assert {name: stack.inspect("web", "{{.State.StartedAt}}") for name, stack in stacks.items()} == started


def test_downloads_leave_others_served(make_stack, record, is_long):
    """As many slow downloads as the app has threads leave it free for other requests: Nginx buffers them on disk.

    They would take longer than other requests may take. With --long they are of 1 GB each, and all arrive whole.
    """
    stacks = {name: make_stack("probe.yml", WSGI_SERVER=name, **DEFAULT_THREADS) for name in server_names()}
    with ThreadPoolExecutor() as pool:
        list(pool.map(Stack.up, stacks.values()))
        results = dict(
            zip(stacks, pool.map(lambda stack: beside_downloads(stack, is_long), stacks.values()), strict=True)
        )
    for name, (answers, sizes) in results.items():
        slow = sum(answer.status != 200 or answer.seconds > SERVED_WITHIN for answer in answers)
        slowest = max(answer.seconds for answer in answers)
        behaviour = f"requests beside {DOWNLOADS} slow downloads, one for each thread, {name}"
        record(SECTION, behaviour, len(answers), slow, f"the slowest response in {slowest:.2f} s")
        if is_long:
            cut_off = sum(size != LARGE * MEGABYTE for size in sizes)
            record(SECTION, f"downloads of 1 GB at 1 MB/s, {DOWNLOADS} at once, {name}", len(sizes), cut_off, "")
        assert slow == 0, (name, answers)
        assert not is_long or sizes == [LARGE * MEGABYTE] * DOWNLOADS, name


def beside_downloads(stack: Stack, is_long: bool) -> tuple[list[load.Answer], list[int]]:
    """Return the responses to other requests while clients read at 1 MB/s, and the sizes of the downloads.

    Without --long the downloads are cancelled after a few requests.
    """
    paths = [f"/big?mb={LARGE if is_long else 2 * SERVED_WITHIN}{length}" for length in ("&length", "")]

    async def run() -> tuple[list[load.Answer], list[int]]:
        downloads = [asyncio.ensure_future(download(host(stack), paths[number % 2], 1)) for number in range(DOWNLOADS)]
        answers: list[load.Answer] = []
        while not all(task.done() for task in downloads) and (is_long or len(answers) < 3):
            await asyncio.sleep(1)
            answers.append(await load.ask(host(stack), "/sleep/0"))
        if is_long:
            return answers, await asyncio.gather(*downloads)
        assert not any(task.done() for task in downloads), "the downloads were too short for this test"
        for task in downloads:
            task.cancel()
        await asyncio.gather(*downloads, return_exceptions=True)
        return answers, []

    return asyncio.run(run())
