"""Requests of every kind: all servers, behind Nginx, must give the same, expected result."""

import hashlib
import random
import uuid

import pytest
import requests

from tests.live.conformance import cases, known
from tests.live.conformance.cases import request
from tests.live.conformance.corpus import fetch
from tests.live.conformance.fleet import differences
from tests.live.conformance.wire import ask

TABLES = {
    "Content-Length": cases.LENGTHS,
    "Transfer-Encoding": cases.CODINGS,
    "Bodies and connections": cases.UPLOADS,
    "Request lines and headers": cases.LINES,
    "Host": cases.HOSTS,
    "Limits": cases.LIMITS,
}
PARAMS = [pytest.param(group, case, id=f"{group}: {case.name}") for group, table in TABLES.items() for case in table]


def summaries(observed) -> dict[str, str]:
    return {name: observation.summary for name, observation in observed.items()}


@pytest.mark.parametrize("group, case", PARAMS)
def test_request(fleet, table, group, case):
    """Every server gives the expected response, the app sees the expected request, and the connection stays in sync."""
    observed = fleet.ask(case.payload)
    assert differences(observed) == []
    for name, observation in observed.items():
        assert observation.answer.statuses == case.statuses, name
        assert observation.answer.canary in ("own", "closed") or case.statuses == (0,), name
        if case.sees:
            assert len(observation.seen) == 1 and case.sees(observation.seen[0]), (name, observation.seen)
        elif case.statuses[0] != 200:
            assert observation.seen == [], name
    expectation = " ".join(map(str, case.statuses)) + (", seen as sent" if case.sees else "")
    table.add(group, case.name, expectation, summaries(observed))


def test_large_response_headers(fleet, table):
    """Response headers of 12 kB, as with large cookies or policies, reach the client."""

    def received(server) -> tuple[int, int]:
        answer = requests.get(f"{server.stack.url}/large-header/12000", timeout=20)
        server.seen()
        return answer.status_code, len(answer.headers["X-Large"])

    assert fleet.on_each(received) == {server.name: (200, 12_000) for server in fleet.servers}
    table.add("Limits", "response headers of 12 kB", "200", {server.name: "= 1" for server in fleet.servers})


def test_paths(fleet, table):
    """PATH_INFO and QUERY_STRING have the expected value on every server, byte for byte."""
    for target, expected in cases.PATHS.items():
        observed = fleet.ask(request(f"GET {target}"))
        assert differences(observed) == [], target
        for name, observation in observed.items():
            got = [seen.target[1:] for seen in observation.seen]
            assert got == ([expected] if expected else []), (name, target)
            assert observation.answer.statuses == ((200,) if expected else (400,)), (name, target)
    count = len(cases.PATHS)
    table.add(
        "Paths",
        f"{count} targets",
        "the expected PATH_INFO and QUERY_STRING, or 400",
        {name: f"= {count}" for name in observed},
        count,
    )


def test_upload_arrives_whole(fleet, table):
    """A chunked upload reaches the app byte for byte, with a Content-Length."""
    body = random.Random(1).randbytes(300_000)
    observed = fleet.ask(cases.post("Transfer-Encoding: chunked", body=cases.chunked(body, 7777)))
    assert differences(observed) == []
    for observation in observed.values():
        [seen] = observation.seen
        assert seen.sha256 == hashlib.sha256(body).hexdigest()
        assert seen.environ["CONTENT_LENGTH"] == "300000"
    table.add("Bodies and connections", "SHA-256 of 300,000 bytes, chunked", "the same digest", summaries(observed))


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("route", cases.MISBEHAVIOUR)
def test_misbehaving_app(fleet, table, route, method):
    """Misbehaving apps get the same response on every server: no header is split, and no client waits or gets out of
    sync.
    """
    statuses, behaviour = cases.MISBEHAVIOUR[route]
    cut = method == "GET" and route in cases.CUT
    observed = fleet.ask(request(f"{method} /{route}"))
    assert differences(observed) == []
    for name, observation in observed.items():
        [response] = observation.answer.responses[:1]
        assert (response.status,) == statuses and response.whole is not cut, (name, response)
        assert observation.answer.canary == "own" or cut, name
        assert response.get("x-injected") is None
    bodies = {observation.answer.responses[0].body for observation in observed.values()}
    assert len(bodies) == 1 or cut or statuses == (500,)
    table.add(
        "Misbehaving apps",
        f"{method}: the app {behaviour}",
        f"{statuses[0]}{', cut off' if cut else ''}",
        summaries(observed),
    )


def test_spoofed_headers(fleet, table):
    """No header with which a client could pose as a proxy reaches the app or changes its environ."""
    expected = next(iter(fleet.ask(request()).values())).seen[0].essence
    for header in cases.SPOOFS:
        for value in ("203.0.113.9", "https"):
            for name, observation in fleet.ask(request("GET /x", f"{header}: {value}")).items():
                assert observation.answer.statuses == (200,), (name, header)
                assert [seen.essence for seen in observation.seen] == [expected], (name, header)
    count = 2 * len(cases.SPOOFS)
    table.add(
        "Forwarded headers",
        f"{len(cases.SPOOFS)} spoofed headers",
        "the app sees none of them and no effect",
        {server.name: f"= {count}" for server in fleet.servers},
        count,
    )


@pytest.mark.parametrize("status", [401, 413])
@pytest.mark.parametrize("megabytes", [2, 9])
def test_refusal_without_reading_the_body(fleet, table, status, megabytes):
    """An upload that the app refuses without reading it gets the app's response, never a 502."""
    payload = request(f"POST /refuse/{status}", f"Content-Length: {megabytes * 10**6}", body=b"x" * megabytes * 10**6)
    for _ in range(10):
        for name, observation in fleet.ask(payload).items():
            assert (observation.answer.statuses, observation.answer.canary) == ((status,), "own"), name
    table.add(
        "Bodies and connections",
        f"{status} for {megabytes} MB that the app does not read",
        f"{status}, no 502",
        {server.name: "= 10" for server in fleet.servers},
        10,
    )


def test_too_large_upload(fleet, table):
    """An upload of 20 MB, twice the limit, gets 413 from Nginx, and the app does not see it."""
    payload = cases.post(f"Content-Length: {20 * 10**6}", body=b"x" * 20 * 10**6)
    for _ in range(10):
        for name, observation in fleet.ask(payload).items():
            assert (observation.answer.statuses, observation.seen) == ((413,), []), name
    table.add(
        "Bodies and connections",
        "20 MB, twice MAX_BODY_SIZE",
        "413, the app does not see it",
        {server.name: "= 10" for server in fleet.servers},
        10,
    )


def test_requests_of_gunicorns_tests(fleet, table, tmp_path):
    """The requests of Gunicorn's tests get the same response on every server. Of those that Gunicorn refuses, only the
    listed ones reach the app.
    """
    kinds = fetch(tmp_path)
    for kind, payloads in kinds.items():
        differing, reached = {}, set()
        for name, payload in payloads.items():
            observed = fleet.ask(payload)
            differing[name] = differences(observed)
            reached |= {name for observation in observed.values() if observation.seen}
        assert {name: texts for name, texts in differing.items() if texts} == {}
        if kind == "invalid":
            listed = set().union(*known.SEEN_THOUGH_INVALID.values())
            assert reached == listed, reached ^ listed
        result = f"= {len(payloads)}; app saw {len(reached)}"
        table.add(
            "Requests of Gunicorn's own tests",
            kind,
            "the same status, the same request seen by the app",
            {server.name: result for server in fleet.servers},
            len(payloads),
        )


def test_desync_canaries(fleet, table, counts):
    """After each ambiguous request, the next ones on the same and on another connection get their own response."""
    payloads = [case.payload for group in (cases.LENGTHS, cases.CODINGS, cases.LINES) for case in group]
    rounds = counts.canaries // (2 * len(payloads)) + 1

    def canaries(server) -> int:
        for payload in payloads * rounds:
            assert ask(server.stack.port, payload).canary != "foreign"
            nonce = uuid.uuid4().hex
            [response] = ask(server.stack.port, request(f"GET /canary/{nonce}", "Connection: close")).responses
            assert response.body.decode() == f"/canary/{nonce}"
        return 2 * len(payloads) * rounds

    counts = fleet.on_each(canaries)
    table.add(
        "Bodies and connections",
        "a request with a nonce after each ambiguous one",
        "its own response",
        {name: f"= {count}" for name, count in counts.items()},
        min(counts.values()),
    )
