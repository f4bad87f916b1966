"""Request IDs."""

import re
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from .client import Site

CONCURRENCY = 10


def _ids(response) -> list[str]:
    return response.raw.headers.getlist("X-Request-ID")


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/", 200),
        ("/healthz", 200),
        ("/readyz", 200),
        ("/api/v1/posts", 200),
        ("/no-such-page", 404),
        ("/static/no-such-file.css", 404),
    ],
)
def test_one_id(site, path, status):
    """Every response has exactly one X-Request-ID, and every request gets a different one."""
    first, second = _ids(site.get(path, status)), _ids(site.get(path, status))
    assert len(first) == len(second) == 1, f"the response has {len(first)} IDs"
    assert first != second, "two requests have the same ID"


def test_id_of_static_file(site, files):
    """Static files have exactly one X-Request-ID."""
    for file in files:
        assert len(_ids(site.get(file))) == 1, f"{file} has {len(_ids(site.get(file)))} IDs"


@pytest.mark.parametrize("path", ["/", "/healthz", "/static/no-such-file.css"])
def test_id_of_client(site, path):
    """A valid ID from the client is kept."""
    sent = str(uuid.uuid4())
    received = _ids(site.get(path, {200, 404}, headers={"X-Request-ID": sent}))
    assert received == [sent], f"the ID is {received}"


@pytest.mark.parametrize("path", ["/", "/static/no-such-file.css"])
@pytest.mark.parametrize(
    "sent",
    [
        pytest.param("two words", id="spaces"),
        pytest.param("quo\"ted'", id="quotes"),
        pytest.param("x" * 300, id="300 characters"),
        pytest.param("<b>\\u0000${jndi:x}", id="punctuation"),
    ],
)
def test_malicious_id(site, path, sent):
    """An ID that could forge log lines is replaced by a new one."""
    received = _ids(site.get(path, {200, 404}, headers={"X-Request-ID": sent}))
    assert len(received) == 1, f"the response has {len(received)} IDs"
    assert re.fullmatch(r"[A-Za-z0-9._=+/:-]{8,128}", received[0]), f"the ID is {received[0]!r}"


def test_concurrent_requests(base_url):
    """Ten concurrent requests are all answered with 200, each with its own ID."""
    barrier = threading.Barrier(CONCURRENCY, timeout=30)
    sent = [uuid.uuid4().hex for _ in range(CONCURRENCY)]
    with ThreadPoolExecutor(CONCURRENCY) as pool:
        received = list(pool.map(lambda request_id: _send_with_id(base_url, barrier, request_id), sent))
    assert received == [[request_id] for request_id in sent], "IDs were mixed up"


def _send_with_id(base_url: str, barrier: threading.Barrier, request_id: str) -> list[str]:
    site = Site(base_url)
    barrier.wait()
    try:
        return _ids(site.get("/", headers={"X-Request-ID": request_id}))
    finally:
        site.close()
