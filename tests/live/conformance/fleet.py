"""One stack for each folder of deploy/servers, asked the same and compared."""

import http.client
import json
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from deploy.settings import server_names
from tests.live.conformance.wire import PATIENCE, Answer, ask
from tests.live.stack import Stack

# What PEP 3333 names; beyond it, and the headers, each server adds names of its own (see known.py).
NAMED = (
    "REQUEST_METHOD SCRIPT_NAME PATH_INFO QUERY_STRING CONTENT_TYPE CONTENT_LENGTH SERVER_NAME SERVER_PORT "
    "SERVER_PROTOCOL REMOTE_ADDR wsgi.version wsgi.url_scheme wsgi.input_terminated wsgi.run_once wsgi.multithread "
    "wsgi.multiprocess"
).split()
PASSED_BY = "HTTP_X_REQUEST_ID"  # new for each request


@dataclass(frozen=True)
class Seen:
    """One request as the app saw it."""

    environ: dict[str, Any]
    length: int
    sha256: str

    @property
    def essence(self) -> dict[str, Any]:
        """What must be the same on every server."""
        kept = {
            name: _canonical(value) if name.startswith("HTTP_") else value
            for name, value in self.environ.items()
            if (name in NAMED or name.startswith("HTTP_")) and name != PASSED_BY
        }
        return kept | {"body": (self.length, self.sha256)}

    @property
    def target(self) -> tuple[str, str, str]:
        return tuple(self.environ.get(name) for name in ("REQUEST_METHOD", "PATH_INFO", "QUERY_STRING"))


def _canonical(value):
    """A header that came several times is joined with "," or ", " (known.JOINER)."""
    return re.sub(r",[ \t]*", ",", value) if isinstance(value, str) else value


@dataclass
class Observation:
    """One server's answer, and what its app saw of the request."""

    answer: Answer
    seen: list[Seen]

    @property
    def essence(self) -> tuple:
        """What must be the same on every server."""
        wholes = tuple(response.whole for response in self.answer.responses)
        answer = self.answer.statuses, wholes, self.answer.canary
        return answer, *(sorted(seen.essence.items()) for seen in self.seen)

    @property
    def said(self) -> str:
        """In a word, for the table."""
        statuses = " ".join(map(str, self.answer.statuses)) or ("no answer" if "open" in self.answer.canary else "cut")
        whole = "" if all(response.whole for response in self.answer.responses) else ", cut off"
        return f"{statuses}{whole}; app saw {len(self.seen)}"


class Server:
    """One stack with the probe behind one WSGI server."""

    def __init__(self, name: str, **env: str):
        self.name = name
        # One process, so that /seen tells everything.
        settings = {"WSGI_SERVER": name, "WEB_CONCURRENCY": "1", "RELEASE_COMMAND": "true"} | env
        self.stack = Stack("probe.yml", **settings)

        self._control = http.client.HTTPConnection("127.0.0.1", self.stack.port, timeout=10)

    def start(self) -> "Server":
        self.stack.up()
        self.seen()
        return self

    def down(self) -> None:
        self._control.close()
        self.stack.down()

    def seen(self) -> list[Seen]:
        """What the app has seen since the last call."""
        found = json.loads(self.get("/seen"))
        return [Seen(**self._anonymous(seen)) for seen in found if "/canary/" not in seen["environ"]["PATH_INFO"]]

    def _anonymous(self, seen: dict) -> dict:
        """The client's address is the gateway of the stack's own network: another in each."""
        gateway = seen["environ"]["HTTP_X_FORWARDED_FOR"].rpartition(",")[2].strip()
        return json.loads(json.dumps(seen).replace(json.dumps(gateway)[1:-1], "CLIENT"))

    def get(self, path: str) -> bytes:
        """A body, on a connection that is kept until Nginx closes it."""
        try:
            self._control.request("GET", path)
            return self._control.getresponse().read()
        except http.client.RemoteDisconnected:  # after a minute without a request; the next one opens a new one
            return self.get(path)

    def ask(self, payload: bytes, patience: float = PATIENCE) -> Observation:
        return Observation(ask(self.stack.port, payload, patience), self.seen())


class Fleet:
    """All servers; every call is made on all of them at once."""

    def __init__(self, **env: str):
        self.servers = [Server(name, **env) for name in server_names()]
        self._pool = ThreadPoolExecutor(len(self.servers))

    def on_each(self, what: Callable[[Server], Any]) -> dict[str, Any]:
        found = self._pool.map(what, self.servers)
        return {server.name: result for server, result in zip(self.servers, found, strict=True)}

    def start(self) -> "Fleet":
        self.on_each(Server.start)
        return self

    def down(self) -> None:
        self.on_each(Server.down)
        self._pool.shutdown()

    def ask(self, payload: bytes, patience: float = PATIENCE) -> dict[str, Observation]:
        return self.on_each(lambda server: server.ask(payload, patience))


def differences(observed: dict[str, Observation]) -> list[str]:
    """What differs between the servers, in words; empty if nothing does."""
    essences = {name: observation.essence for name, observation in observed.items()}
    (first, one), *others = essences.items()
    return [
        f"{first} has {_beyond(one, another)}, {name} has {_beyond(another, one)}"
        for name, another in others
        if another != one
    ]


def _beyond(one: tuple, other: tuple) -> list:
    """What of one essence is not in another."""
    return [part for parts in one for part in parts if not any(part in parts for parts in other)]
