"""The logs of all servers: every line is JSON, whatever the app, its child processes and the clients write."""

import json
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

from tests.live.conformance.cases import request
from tests.live.conformance.wire import ask

WITHIN = 15  # seconds; Nginx buffers its access log for one
ODD = b'GET /%s/odd HTTP/1.1\r\nHost: localhost\r\nUser-Agent: a"b\\c \xff \xe2\x80\xa8 \x85\r\n'
RAW = ("written", "child", "bytes", "long", "Current thread")


def log_lines(server, service: str) -> list[bytes]:
    """All lines that the service has written since its start."""
    done = subprocess.run(["docker", "logs", server.stack.container(service)], capture_output=True, check=True)
    return [line for line in (done.stdout + done.stderr).split(b"\n") if line]


def broken(lines: list[bytes]) -> list[bytes]:
    """The lines that are not a JSON object in ASCII, whose control characters are escaped."""
    return [line for line in lines if not (line.isascii() and line.decode().isprintable() and is_object(line))]


def is_object(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


def messages(server) -> list[str]:
    return [json.loads(line)["message"] for line in log_lines(server, "web") if is_object(line)]


def test_output_past_python(fleet, table):
    """Output of child processes, C code and faulthandler becomes JSON lines on every server."""

    def missing(server) -> list[str]:
        server.get(f"/print-raw/{server.name}")
        end = time.monotonic() + WITHIN
        while True:
            shown = messages(server)
            absent = [word for word in RAW[:4] if not any(text.startswith(f"{word} {server.name}") for text in shown)]
            absent += [word for word in RAW[4:] if not any(text.startswith(word) for text in shown)]
            if not absent or time.monotonic() > end:
                return absent
            time.sleep(0.2)

    assert fleet.on_each(missing) == {server.name: [] for server in fleet.servers}
    table.add(
        "Output of the app",
        "child processes, C code, faulthandler, sys.stdout.buffer",
        "JSON lines",
        {server.name: f"= {len(RAW)}" for server in fleet.servers},
        len(RAW),
    )


def test_every_line_is_json(fleet, table):
    """Every line of the web and Nginx containers is JSON in ASCII, on a busy stack and for any request."""
    routes = [b"print-raw", b"say", b"broken", b"raise-in-body", b"canary", b"%ff%0a", b'x"\\y', b"x" * 3000]

    def busy(server) -> dict[str, list[bytes]]:
        requests = [ODD % route + b"X-Forwarded-For: \xc2\x85\r\nConnection: close\r\n\r\n" for route in routes * 20]
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda payload: ask(server.stack.port, payload), requests))
        ask(server.stack.port, request("GET /say/last", "X-Request-ID: the-last-line", "Connection: close"))
        end = time.monotonic() + WITHIN
        while not any(b"the-last-line" in line for line in log_lines(server, "nginx")) and time.monotonic() < end:
            time.sleep(0.2)
        return {service: broken(log_lines(server, service))[:3] for service in ("web", "nginx")}

    assert fleet.on_each(busy) == {server.name: {"web": [], "nginx": []} for server in fleet.servers}
    counts = fleet.on_each(lambda server: sum(len(log_lines(server, service)) for service in ("web", "nginx")))
    assert min(counts.values()) > 20 * len(routes)
    table.add(
        "Output of the app",
        "every line of the containers web and nginx",
        "JSON",
        {name: f"= {count}" for name, count in counts.items()},
        min(counts.values()),
    )
