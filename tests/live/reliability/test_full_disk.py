"""Full disks: only requests that must write fail, and the stack recovers without intervention."""

import asyncio
import json
import time
from collections.abc import Callable
from contextlib import contextmanager

import pytest

from tests.live.reliability import load
from tests.live.stack import docker
from tests.smoke.account import Account
from tests.smoke.client import POSTS

WRITES = 20
BACK_WITHIN = 30  # seconds; Nginx's open_file_cache is valid for 10 s
CACHEABLE = "Cache-Control: public, s-maxage=60"
SECTION = "Full disks"
LARGER_THAN_THE_DISK = 40  # MB; full-disk.yml


@contextmanager
def full(stack, service: str, folder: str):
    """Fill the disk to its last byte, and delete the filler at the end."""
    container = stack.container(service)
    filled = docker("exec", container, "sh", "-c", f"cat /dev/zero > {folder}/filler", check=False)
    assert "No space left" in filled.stderr
    yield
    docker("exec", container, "rm", f"{folder}/filler")


def until(is_true: Callable[[], bool]) -> None:
    started = time.monotonic()
    while not is_true():
        assert time.monotonic() - started < BACK_WITHIN
        time.sleep(0.2)


@pytest.fixture(scope="module")
def sample(make_stack):
    stack = make_stack("full-disk.yml", WEB_CONCURRENCY="2")
    stack.up()
    return stack


@pytest.fixture(scope="module")
def probe(make_stack):
    stack = make_stack("probe.yml", "full-disk.yml", RELEASE_COMMAND="true")
    stack.up()
    return stack


def test_database(sample, record):
    """While SQLite's disk is full, pages can be read, and writes get 503 with Retry-After in less than 2 s. The cause
    is logged, a restarted server works, no acknowledged write is lost, and no refused write is stored.
    """
    account = Account.register(sample.url)
    written = []

    def write(status: int | set[int]) -> float:
        """Post and return the seconds until the response."""
        body = f"full disk {len(written)}"
        answer = account.program.request("POST", POSTS, status, json={"body": body})
        written.append((body, answer.status_code))
        assert answer.status_code == 201 or answer.headers["Retry-After"] == "5"
        return answer.elapsed.total_seconds()

    write(201)
    with full(sample, "web", "/var/lib/tripod"):
        seconds = [write({201, 503}) for _ in range(WRITES)]  # SQLite may still have room in its own files
        account.browser.publish("full disk, by a form", 503)
        for path in ("/", POSTS, "/account/tokens", "/healthz", "/readyz"):
            account.browser.get(path, 200)
        docker("restart", sample.container("web"))
        until(lambda: account.browser.get("/", {200, 503}).status_code == 200)
        write({201, 503})
    write(201)
    stored = [post["body"] for post in account.program.find_posts("full disk")]
    acknowledged = [body for body, status in written if status == 201]
    refused = len(written) - len(acknowledged)
    record(
        SECTION,
        "writes while SQLite's disk is full",
        WRITES + 1,
        len(set(stored) ^ set(acknowledged)),
        f"{refused} refused with 503, the slowest response in {max(seconds):.2f} s; no acknowledged write lost",
    )
    assert sorted(stored) == sorted(acknowledged)
    assert refused > WRITES / 2 and max(seconds) < 2
    assert "database or disk is full" in sample.logs("web")
    integrity = "import sqlite3; print(*sqlite3.connect('/var/lib/tripod/app.db').execute('PRAGMA integrity_check'))"
    account.browser.close()
    account.program.close()
    assert "'ok'" in docker("exec", sample.container("web"), "python3", "-c", integrity).stdout


def test_nginx(probe, record):
    """While Nginx's disk is full, cacheable and other pages arrive complete. Only a request body that does not fit into
    memory gets 503 with Retry-After.
    """
    host = load.address(probe)
    cacheable = f"/page/cacheable?header={CACHEABLE.replace(' ', '%20')}"
    upload = json.dumps("x" * 2**20).encode()

    async def ask_all() -> list[load.Answer]:
        paths = ("/page/own", cacheable, "/stream", "/static/missing.css")
        answers = [await load.ask(host, path) for path in paths * 5]
        return answers + [await load.ask(host, "/page/small", b"{}"), await load.ask(host, "/page/large", upload)]

    def check_health() -> None:
        """Run Nginx's health check, which also detects the full disk. Docker runs it only every 10 s."""
        docker("exec", probe.container("nginx"), "nginx/health")

    with full(probe, "nginx", "/var/cache/nginx"):
        check_health()
        *answers, uploaded = asyncio.run(ask_all())
    check_health()
    *after, uploaded_after = asyncio.run(ask_all())
    until(lambda: asyncio.run(load.ask(host, cacheable)).headers["x-cache"] == "HIT")
    wrong = [answer for answer in answers if answer.status not in (200, 404)]
    record(
        SECTION,
        "requests while the disk of Nginx's cache and buffers is full",
        len(answers),
        len(wrong),
        f"a body of 1 MB got {uploaded.status}",
    )
    assert wrong == []
    assert (uploaded.status, uploaded.headers.get("retry-after")) == (503, "5")
    assert b"</html>" in uploaded.body
    assert {answer.status for answer in after} == {200, 404} and uploaded_after.status == 200


def test_downloads_do_not_fill_the_disk(probe, record):
    """With little disk space, Nginx writes no large response to it: downloads by slow clients arrive whole, although
    they are larger than the disk, and the disk stays free.
    """
    free = "stat -f -c %a /var/cache/nginx"
    docker("exec", probe.container("nginx"), "nginx/health")
    before = docker("exec", probe.container("nginx"), "sh", "-c", free).stdout

    async def downloads() -> list[int]:
        paths = [f"/big?mb={LARGER_THAN_THE_DISK}{length}" for length in ("", "&length")]
        tasks = [asyncio.ensure_future(load.download(load.address(probe), path, rate=16)) for path in paths]
        await asyncio.sleep(1)
        during.append(docker("exec", probe.container("nginx"), "sh", "-c", free).stdout)
        return await asyncio.gather(*tasks)

    during: list[str] = []
    sizes = asyncio.run(downloads())
    cut_off = sum(size != LARGER_THAN_THE_DISK * load.MEGABYTE for size in sizes)
    record(SECTION, "downloads by slow clients, each larger than the disk of Nginx", len(sizes), cut_off, "")
    assert cut_off == 0 and during == [before]
