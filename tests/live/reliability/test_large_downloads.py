"""Large downloads by slow clients arrive whole, and leave the other clients served."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from deploy.settings import server_names
from tests.live.reliability import load
from tests.live.reliability.capacity import host
from tests.live.stack import Stack

MEGABYTE = 10**6
TIMEOUT = 2  # REQUEST_TIMEOUT
SERVED_WITHIN = 30  # seconds on a busy machine
SECTION = "Large downloads"


async def download(address: str, path: str, rate: float) -> int:
    """Read a response at this rate in MB/s. Return the bytes of its body, without the framing; 0 if it is cut off."""
    reader, writer = await asyncio.open_connection(address, 8080, limit=2**16)
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nHost: probe\r\nConnection: close\r\n\r\n".encode())
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        assert head.startswith(b"http/1.1 200 "), head
        began, size, last, body = time.monotonic(), 0, b"", 0
        while part := await reader.read(2**16):
            size, body, last = size + len(part), body + part.count(b"x"), (last + part)[-5:]
            await asyncio.sleep(began + size / rate / MEGABYTE - time.monotonic())
        is_whole = last == b"0\r\n\r\n" if b"chunked" in head else f"content-length: {body}\r".encode() in head
        return body if is_whole else 0
    finally:
        writer.close()


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


def test_downloads_leave_others_served(make_stack, record):
    """As many slow downloads as the app has threads leave it free for other requests: Nginx buffers them on disk."""
    stack = make_stack("probe.yml", RELEASE_COMMAND="true", WEB_CONCURRENCY="1", WEB_THREADS="2")
    stack.up()

    async def beside_downloads() -> load.Answer:
        downloads = [asyncio.ensure_future(download(host(stack), "/big?mb=400&length", rate=1)) for _ in range(2)]
        await asyncio.sleep(1)
        answer = await load.ask(host(stack), "/sleep/0")
        assert not any(task.done() for task in downloads)
        for task in downloads:
            task.cancel()
        return answer

    answer = asyncio.run(beside_downloads())
    is_served = answer.status == 200 and answer.seconds < SERVED_WITHIN
    record(SECTION, "requests beside a slow download for each thread", 1, int(not is_served), f"{answer.seconds:.1f} s")
    assert is_served, answer
