"""Request ids."""

import re
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from .client import Site

CROWD = 10


def _ids(answer) -> list[str]:
    return answer.raw.headers.getlist("X-Request-ID")


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
    """Every answer has exactly one X-Request-ID, and each its own."""
    first, second = _ids(site.get(path, status)), _ids(site.get(path, status))
    assert len(first) == len(second) == 1, f"it has {len(first)}"
    assert first != second, "two requests have the same"


def test_id_of_static_file(site, files):
    """Static files have exactly one X-Request-ID too."""
    for file in files:
        assert len(_ids(site.get(file))) == 1, f"{file} has {len(_ids(site.get(file)))}"


@pytest.mark.parametrize("path", ["/", "/healthz", "/static/no-such-file.css"])
def test_given_id(site, path):
    """A harmless id that comes with the request comes back."""
    given = str(uuid.uuid4())
    found = _ids(site.get(path, {200, 404}, headers={"X-Request-ID": given}))
    assert found == [given], f"it is {found}"


@pytest.mark.parametrize("path", ["/", "/static/no-such-file.css"])
@pytest.mark.parametrize(
    "given",
    [
        pytest.param("two words", id="spaces"),
        pytest.param("quo\"ted'", id="quotes"),
        pytest.param("x" * 300, id="300 characters"),
        pytest.param("<b>\\u0000${jndi:x}", id="punctuation"),
    ],
)
def test_malicious_id(site, path, given):
    """An id that could forge a log line is replaced by a new one."""
    found = _ids(site.get(path, {200, 404}, headers={"X-Request-ID": given}))
    assert len(found) == 1, f"it has {len(found)}"
    assert re.fullmatch(r"[A-Za-z0-9._=+/:-]{8,128}", found[0]), f"it is {found[0]!r}"


def test_crowd(base_url):
    """Ten requests at the same time are all answered with 200, each with its own id."""
    together = threading.Barrier(CROWD, timeout=30)
    given = [uuid.uuid4().hex for _ in range(CROWD)]
    with ThreadPoolExecutor(CROWD) as pool:
        found = list(pool.map(lambda name: _ask_together(base_url, together, name), given))
    assert found == [[name] for name in given], "ids were mixed up"


def _ask_together(base_url: str, together: threading.Barrier, name: str) -> list[str]:
    site = Site(base_url)
    together.wait()
    try:
        return _ids(site.get("/", headers={"X-Request-ID": name}))
    finally:
        site.close()
