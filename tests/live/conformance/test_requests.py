"""Requests of every kind: each is asked of every server through Nginx, and all must do what is written here."""

import hashlib
import random
import uuid

import pytest

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


def said(observed) -> dict[str, str]:
    return {name: observation.said for name, observation in observed.items()}


@pytest.mark.parametrize("group, case", PARAMS)
def test_request(fleet, table, group, case):
    """The answer is the written one on every server, the app sees what is written, and the connection stays in step."""
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
    table.add(group, case.name, expectation, said(observed))


def test_paths(fleet, table):
    """PATH_INFO and QUERY_STRING are the same on every server, byte for byte, and as written."""
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
        "PATH_INFO and QUERY_STRING as written, or 400",
        {name: f"= {count}" for name in observed},
        count,
    )


def test_upload_arrives_whole(fleet, table):
    """A chunked upload arrives byte for byte, with a length."""
    body = random.Random(1).randbytes(300_000)
    observed = fleet.ask(cases.post("Transfer-Encoding: chunked", body=cases.chunked(body, 7777)))
    assert differences(observed) == []
    for observation in observed.values():
        [seen] = observation.seen
        assert seen.sha256 == hashlib.sha256(body).hexdigest()
        assert seen.environ["CONTENT_LENGTH"] == "300000"
    table.add("Bodies and connections", "SHA-256 of 300,000 bytes, chunked", "the same", said(observed))


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("route", cases.MISBEHAVIOUR)
def test_misbehaving_app(fleet, table, route, method):
    """Whatever the app does, the answer is the same on every server, no header is split, and the client is never left
    waiting or out of step.
    """
    statuses, what = cases.MISBEHAVIOUR[route]
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
        "What the app does wrong, and how it answers",
        f"{method}: the app {what}",
        f"{statuses[0]}{', cut off' if cut else ''}",
        said(observed),
    )


def test_spoofed_headers(fleet, table):
    """No header by which a client could pretend to be a proxy reaches the app or changes what it is told."""
    truth = next(iter(fleet.ask(request()).values())).seen[0].essence
    for header in cases.SPOOFS:
        for value in ("203.0.113.9", "https"):
            for name, observation in fleet.ask(request("GET /x", f"{header}: {value}")).items():
                assert observation.answer.statuses == (200,), (name, header)
                assert [seen.essence for seen in observation.seen] == [truth], (name, header)
    count = 2 * len(cases.SPOOFS)
    table.add(
        "Forwarded headers",
        f"{len(cases.SPOOFS)} spoofed headers",
        "the app sees none, nothing changes",
        {server.name: f"= {count}" for server in fleet.servers},
        count,
    )


@pytest.mark.parametrize("status", [401, 413])
@pytest.mark.parametrize("megabytes", [2, 9])
def test_early_refusal(fleet, table, status, megabytes):
    """An upload that the app refuses without reading it gets the app's answer, never a 502."""
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


def test_too_large_refusal(fleet, table):
    """An upload of 20 MB, twice the limit, gets Nginx's 413, and the app does not hear of it."""
    payload = cases.post(f"Content-Length: {20 * 10**6}", body=b"x" * 20 * 10**6)
    for _ in range(10):
        for name, observation in fleet.ask(payload).items():
            assert (observation.answer.statuses, observation.seen) == ((413,), []), name
    table.add(
        "Bodies and connections",
        "20 MB, twice MAX_BODY_SIZE",
        "413, app sees nothing",
        {server.name: "= 10" for server in fleet.servers},
        10,
    )


def test_gunicorns_corpus(fleet, table, tmp_path):
    """Gunicorn's own requests get the same answer everywhere; of those it refuses, the app sees only listed ones."""
    kinds = fetch(tmp_path)
    for kind, payloads in kinds.items():
        differ, seen_too = {}, set()
        for name, payload in payloads.items():
            observed = fleet.ask(payload)
            differ[name] = differences(observed)
            seen_too |= {name for observation in observed.values() if observation.seen}
        assert {name: found for name, found in differ.items() if found} == {}
        if kind == "invalid":
            listed = set().union(*known.SEEN_THOUGH_INVALID.values())
            assert seen_too == listed, seen_too ^ listed
        result = f"= {len(payloads)}; app saw {len(seen_too)}"
        table.add(
            "Gunicorn's own corpus",
            kind,
            "the same status, the same seen by the app",
            {server.name: result for server in fleet.servers},
            len(payloads),
        )


def test_desync_canaries(fleet, table, counts):
    """After each doubtful request, the next one on the same and on another connection gets its own answer."""
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
        "a request with a nonce after each doubtful one",
        "its own answer",
        {name: f"= {count}" for name, count in counts.items()},
        min(counts.values()),
    )
