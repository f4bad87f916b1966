"""One stack for each folder of deploy/servers. All get the same requests, and their responses are compared."""

import http.client
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from deploy.settings import server_names
from tests.live.conformance.wire import TIMEOUT, Answer, ask
from tests.live.stack import Stack

# The variables of PEP 3333. Besides these and the headers, each server adds its own variables (see known.py).
PEP_3333 = (
    "REQUEST_METHOD SCRIPT_NAME PATH_INFO QUERY_STRING CONTENT_TYPE CONTENT_LENGTH SERVER_NAME SERVER_PORT "
    "SERVER_PROTOCOL REMOTE_ADDR wsgi.version wsgi.url_scheme wsgi.input_terminated wsgi.run_once wsgi.multithread "
    "wsgi.multiprocess"
).split()
IGNORED = "HTTP_X_REQUEST_ID"  # different for each request


@dataclass(frozen=True)
class Seen:
    """A request as received by the app."""

    environ: dict[str, Any]
    length: int
    sha256: str

    @property
    def essence(self) -> dict[str, Any]:
        """The part that must be equal on all servers."""
        essence = {
            name: value
            for name, value in self.environ.items()
            if (name in PEP_3333 or name.startswith("HTTP_")) and name != IGNORED
        }
        return essence | {"body": (self.length, self.sha256)}

    @property
    def target(self) -> tuple[str, str, str]:
        return tuple(self.environ.get(name) for name in ("REQUEST_METHOD", "PATH_INFO", "QUERY_STRING"))


@dataclass
class Observation:
    """A server's answer, and the requests that its app received."""

    answer: Answer
    seen: list[Seen]

    @property
    def essence(self) -> tuple:
        """The part that must be equal on all servers."""
        wholes = tuple(response.whole for response in self.answer.responses)
        answer = self.answer.statuses, wholes, self.answer.canary
        return answer, *(sorted(seen.essence.items()) for seen in self.seen)

    @property
    def summary(self) -> str:
        """A few words for the table."""
        statuses = " ".join(map(str, self.answer.statuses)) or ("no answer" if "open" in self.answer.canary else "cut")
        whole = "" if all(response.whole for response in self.answer.responses) else ", cut off"
        return f"{statuses}{whole}; app saw {len(self.seen)}"


class Server:
    """A stack that runs the probe on one WSGI server."""

    def __init__(self, name: str, *files: str, **env: str):
        self.name = name
        # One process, so that /seen returns all requests.
        settings = {"WSGI_SERVER": name, "WEB_CONCURRENCY": "1", "RELEASE_COMMAND": "true"} | env
        self.stack = Stack("probe.yml", *files, **settings)

        self._control = http.client.HTTPConnection("127.0.0.1", self.stack.port, timeout=10)

    def start(self) -> "Server":
        self.stack.up()
        self.seen()
        return self

    def down(self) -> None:
        self._control.close()
        self.stack.down()

    def seen(self) -> list[Seen]:
        """Return the requests that the app has received since the last call, without canaries."""
        requests = json.loads(self.get("/seen"))
        return [Seen(**self._anonymous(seen)) for seen in requests if "/canary/" not in seen["environ"]["PATH_INFO"]]

    def _anonymous(self, seen: dict) -> dict:
        """Replace the client's address, which is the gateway of the stack's network and differs between stacks."""
        gateway = seen["environ"]["HTTP_X_FORWARDED_FOR"].rpartition(",")[2].strip()
        return json.loads(json.dumps(seen).replace(json.dumps(gateway)[1:-1], "CLIENT"))

    def get(self, path: str) -> bytes:
        """Return the body of a page, requested on a connection that is reused until Nginx closes it."""
        try:
            self._control.request("GET", path)
            return self._control.getresponse().read()
        except (
            http.client.RemoteDisconnected
        ):  # Nginx closes it after 60 s without a request; the next call opens a new one
            return self.get(path)

    def ask(self, payload: bytes, timeout: float = TIMEOUT) -> Observation:
        return Observation(ask(self.stack.port, payload, timeout), self.seen())


class Fleet:
    """All servers. Every call is made on all of them in parallel. `files` are further Compose files in tests/live."""

    def __init__(self, *files: str, **env: str):
        self.servers = [Server(name, *files, **env) for name in server_names()]
        self._pool = ThreadPoolExecutor(len(self.servers))

    def on_each(self, function: Callable[[Server], Any]) -> dict[str, Any]:
        """Call the function with each server and return the results by the server's name."""
        results = self._pool.map(function, self.servers)
        return {server.name: result for server, result in zip(self.servers, results, strict=True)}

    def start(self) -> "Fleet":
        self.on_each(Server.start)
        return self

    def down(self) -> None:
        self.on_each(Server.down)
        self._pool.shutdown()

    def ask(self, payload: bytes, timeout: float = TIMEOUT) -> dict[str, Observation]:
        return self.on_each(lambda server: server.ask(payload, timeout))


def differences(observed: dict[str, Observation]) -> list[str]:
    """Describe how the servers differ from the first one. Empty if they do not."""
    essences = {name: observation.essence for name, observation in observed.items()}
    (first, expected), *others = essences.items()
    return [
        f"{first} has {_only_in(expected, actual)}, {name} has {_only_in(actual, expected)}"
        for name, actual in others
        if actual != expected
    ]


def _only_in(first: tuple, second: tuple) -> list:
    """Return the parts of the first essence that are not in the second."""
    return [part for parts in first for part in parts if not any(part in parts for parts in second)]
