"""Load from 32 clients of different kinds, which count every wrong response.

Sixteen clients keep their connection open, sixteen open a new one for each request. In both groups, twelve clients
request pages, count in a signed cookie and POST 1 KB; four clients POST 1 MB, upload slowly, request a page that takes
3 s, and read a stream.
"""

import hashlib
import http.client
import itertools
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator

TIMEOUT = 30  # seconds; no request takes longer than 3 s
FAST = 12  # clients in each group
PORT = 8080
SHORT_RUN_PAUSE = 0.3  # seconds between two requests of a fast client, without --long
KB = 1024
STREAM = b"".join(b"%d" % number * 10_000 for number in range(10))


class Failure(Exception):
    """A wrong response."""


class Client:
    """A client in its own thread that performs its actions one after another until the load stops."""

    def __init__(self, load: "Clients", name: str, fresh: bool, actions: Iterator[str], pause: float):
        self._load, self._name, self._fresh, self._actions, self._pause = load, name, fresh, actions, pause
        self._connection: http.client.HTTPConnection | None = None
        self._count = 0
        self._cookie = ""
        self._ids = itertools.count()
        self.thread = threading.Thread(target=self._run, name=name)

    def _run(self) -> None:
        while not self._load.stopping.wait(self._pause * random.uniform(0.5, 1.5)):
            action = next(self._actions)
            began = time.monotonic()
            try:
                getattr(self, f"_{action}")()
                failure = ""
            except (OSError, http.client.HTTPException, Failure, ValueError, KeyError) as error:
                failure = f"{time.strftime('%X')} {self._name} {action}: {type(error).__name__}: {error}"
                self._close()
            self._load.count(action, time.monotonic() - began, failure)
        self._close()

    def _close(self) -> None:
        if self._connection:
            self._connection.close()
        self._connection = None

    def _ask(self, method: str, path: str, body: bytes | Iterator[bytes] | None = None, **headers: str):
        """Send a request and return the response, which must be 200, and its body."""
        if self._fresh:
            self._close()
        if not self._connection:
            self._connection = http.client.HTTPConnection(self._load.address, PORT, timeout=TIMEOUT)
        self._connection.request(method, path, body, headers)
        response = self._connection.getresponse()
        content = response.read()
        if response.status != 200:
            raise Failure(f"{response.status} {content[:100]!r}")
        return response, content

    def _get(self) -> None:
        page = f"{self._name}-{next(self._ids)}"
        _expect(json.loads(self._ask("GET", f"/page/{page}")[1]), {"page": page})

    def _session(self) -> None:
        response, content = self._ask("GET", "/session", Cookie=self._cookie)
        self._count += 1
        _expect(json.loads(content), {"count": self._count})
        self._cookie = response.headers["Set-Cookie"].partition(";")[0]

    def _post(self, size: int = KB, slowly: bool = False) -> None:
        number = f"{self._load.run}-{self._name}-{next(self._ids)}"
        body = number.encode() * (size // len(number))
        digest = hashlib.sha256(body).hexdigest()
        sent = _pieces(body) if slowly else body
        self._load.sent.add(number)
        _, content = self._ask("POST", f"/ledger/{number}", sent, **{"Content-Length": str(len(body))})
        _expect(json.loads(content), {"id": number, "sha256": digest})
        self._load.acknowledged[number] = digest

    def _post_1_mb(self) -> None:
        self._post(KB * KB)

    def _upload_slowly(self) -> None:
        self._post(16 * KB, slowly=True)

    def _wait_3_s(self) -> None:
        _expect(json.loads(self._ask("GET", "/sleep/3")[1]), {"slept": "3"})

    def _stream(self) -> None:
        if self._ask("GET", "/stream")[1] != STREAM:
            raise Failure("the stream is incomplete")


def _expect(actual, expected) -> None:
    if actual != expected:
        raise Failure(f"got {actual} instead of {expected}")


def _pieces(body: bytes) -> Iterator[bytes]:
    for start in range(0, len(body), 2 * KB):
        time.sleep(0.2)
        yield body[start : start + 2 * KB]


class Clients:
    """All clients, as a context manager: they send requests while the context is active.

    `pause` is the time between two requests of a fast client, in seconds.
    """

    def __init__(self, address: str, pause: float):
        self.address, self.stopping = address, threading.Event()
        self.run = f"{random.getrandbits(32):08x}"  # distinguishes the POSTs of different loads in the ledger
        self.counts: Counter[str] = Counter()
        self.failures: list[str] = []
        self.slowest = 0.0  # seconds, of the requests without a built-in delay
        self.sent: set[str] = set()
        self.acknowledged: dict[str, str] = {}
        self._lock = threading.Lock()
        self._clients = [client for fresh in (False, True) for client in self._of_kind(fresh, pause)]

    def _of_kind(self, fresh: bool, pause: float) -> Iterator[Client]:
        kind = "fresh" if fresh else "kept"
        for number in range(FAST):
            yield Client(self, f"{kind}-{number}", fresh, itertools.cycle(["get", "session", "post"]), pause)
        for action in ("post_1_mb", "upload_slowly", "wait_3_s", "stream"):
            yield Client(self, f"{kind}-{action}", fresh, itertools.repeat(action), 1)

    def __enter__(self) -> "Clients":
        for client in self._clients:
            client.thread.start()
        return self

    def __exit__(self, *_) -> None:
        self.stopping.set()
        for client in self._clients:
            client.thread.join()

    def count(self, action: str, seconds: float, failure: str) -> None:
        with self._lock:
            self.counts[action] += 1
            if action in ("get", "session", "post"):
                self.slowest = max(self.slowest, seconds)
            if failure:
                self.failures.append(failure)

    @property
    def total(self) -> int:
        return sum(self.counts.values())

    def await_more(self, number: int) -> None:
        """Wait for this number of further requests, at most for 60 s."""
        goal, deadline = self.total + number, time.monotonic() + 60
        while self.total < goal and time.monotonic() < deadline:
            time.sleep(0.05)

    def wrong_in_ledger(self, lines: list[str]) -> list[str]:
        """Return the POSTs that are acknowledged but not recorded exactly once, or sent but recorded more than once."""
        applied: dict[str, list[str]] = {}
        for line in lines:
            number, _, digest = line.partition(" ")
            applied.setdefault(number, []).append(digest)
        lost = [number for number, digest in self.acknowledged.items() if applied.get(number) != [digest]]
        doubled = [number for number in self.sent if len(applied.get(number, [])) > 1]
        return sorted({*lost, *doubled})
