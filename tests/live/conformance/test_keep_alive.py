"""Keep-alive connections, and the log lines of an app."""

import json

from tests.live.conformance import cases
from tests.live.conformance.cases import request
from tests.live.conformance.wire import Connection


def test_posts_on_keep_alive_connections(fleet, table, counts):
    """Every POST on a keep-alive connection gets 200, up to 1,000 on each (then Nginx closes the connection)."""
    payload = cases.post("Content-Length: 3")

    def statuses(server) -> set[int]:
        found = set()
        for _ in range(counts.posts // 1000):
            with Connection(server.stack.port, timeout=10) as connection:
                for _ in range(1000):
                    connection.send(payload)
                    found.add(connection.read().status)
            server.seen()
        return found

    assert fleet.on_each(statuses) == {server.name: {200} for server in fleet.servers}
    table.add(
        "Bodies and connections",
        "POSTs on keep-alive connections",
        "200, no 502",
        {server.name: f"= {counts.posts}" for server in fleet.servers},
        counts.posts,
    )


def test_output_of_the_app(fleet, table):
    """print(), stderr, wsgi.errors and logging become the same JSON lines on every server, with the request ID."""

    def lines(server) -> list[tuple[str, ...]]:
        server.ask(request("GET /say/hello", "X-Request-ID: said-1"))
        found = [line.partition(" | ")[2] for line in server.stack.logs("web").splitlines() if "hello" in line]
        parsed = [json.loads(line) for line in found]
        return sorted((line["logger"], line["level"], line["message"], line["request_id"]) for line in parsed)

    said = fleet.on_each(lines)
    expected = [
        ("probe", "WARNING", "logged hello", "said-1"),
        ("stderr", "WARNING", "complained hello", "said-1"),
        ("stdout", "INFO", "printed hello", "said-1"),
        ("wsgi.errors", "WARNING", "erred hello", "said-1"),
    ]
    assert said == {server.name: expected for server in fleet.servers}
    table.add(
        "Output of the app",
        "print(), stderr, wsgi.errors, logging",
        "four JSON lines with the request ID",
        {server.name: "= 4" for server in fleet.servers},
    )
