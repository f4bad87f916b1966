"""Settings have the same effect on every server: workers, threads, timeouts, hosts, proxies. So have faults."""

import http.client
import ipaddress
import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from deploy import network
from tests.live.conformance.cases import post, request
from tests.live.conformance.fleet import Fleet, differences
from tests.live.conformance.wire import Connection, ask

WORKERS, THREADS, TIMEOUT = 2, 3, 2
KEEP_ALIVE, STREAM_TIMEOUT = 2, 4
LONGEST_PAUSE = 2  # seconds, in short-pauses.conf
METHODS = ("GET", "POST", "PROPFIND", "REPORT", "VERSION-CONTROL")
# Lines of X-Forwarded-For → REMOTE_ADDR; empty for the address of the connection.
FORWARDED = {
    ("203.0.113.7",): "203.0.113.7",
    ("203.0.113.7:51234",): "203.0.113.7",
    ("[2001:db8::7]:51234",): "2001:db8::7",
    ("[2001:DB8::7]",): "2001:db8::7",
    ("2001:db8:0::7",): "2001:db8::7",
    ('"[2001:db8::7]:51234"',): "2001:db8::7",
    ("6.6.6.6, 203.0.113.7:80",): "203.0.113.7",
    ("6.6.6.6", "203.0.113.7"): "203.0.113.7",
    ("unknown",): "",
    ("_hidden",): "",
    ("203.0.113.256",): "",
    ("for=203.0.113.7",): "",
    ("203.0.113.7:80:90",): "",
}
BACK_WITHIN = 15  # seconds after a worker has died


@pytest.fixture(scope="module")
def tuned():
    """The probe behind every server, with settings other than the defaults."""
    files = ["short-pauses.yml", "ipv6.yml"] if network.has_ipv6() else ["short-pauses.yml"]
    fleet = Fleet(
        *files,
        WEB_CONCURRENCY=str(WORKERS),
        WEB_THREADS=str(THREADS),
        REQUEST_TIMEOUT=str(TIMEOUT),
        STREAM_TIMEOUT=str(STREAM_TIMEOUT),
        KEEP_ALIVE=str(KEEP_ALIVE),
        ALLOWED_METHODS=",".join(METHODS),
        TRUSTED_PROXIES="2",
        ALLOWED_HOSTS="probe,127.0.0.1,.example.com",
    )
    try:
        yield fleet.start()
    finally:
        fleet.down()


def add(table, fleet, behaviour: str, expectation: str, count: int = 1) -> None:
    table.add("Settings", behaviour, expectation, {server.name: f"= {count}" for server in fleet.servers}, count)


def status(server, payload: bytes, timeout: float = 20) -> int:
    """Return the status of the first response, or 0 if the connection is cut."""
    statuses = ask(server.stack.port, payload, timeout).statuses
    return statuses[0] if statuses else 0


def at_once(server, path: str, number: int) -> list:
    """Send several requests at the same time, each on its own connection."""
    payload = request(f"GET {path}", "Connection: close")
    with ThreadPoolExecutor(number) as pool:
        return list(pool.map(lambda _: ask(server.stack.port, payload, 20).responses[0], range(number)))


def test_worker_count(tuned, table):
    """WEB_CONCURRENCY is the number of worker processes that answer."""

    def processes(server) -> set[str]:
        found = set()
        for _ in range(20):
            found |= {response.body.decode() for response in at_once(server, "/process", 6)}
            if len(found) >= WORKERS:
                break
        return found

    assert {name: len(found) for name, found in tuned.on_each(processes).items()} == dict.fromkeys(
        (server.name for server in tuned.servers), WORKERS
    )
    add(table, tuned, f"WEB_CONCURRENCY={WORKERS}", "as many processes answer")


def test_thread_count(fleet, table):
    """A process handles exactly WEB_THREADS (4) requests at once."""
    together = fleet.on_each(lambda server: {response.status for response in at_once(server, "/threads/4", 4)})
    alone = fleet.on_each(lambda server: {response.status for response in at_once(server, "/threads/5", 5)})
    assert set().union(*together.values()) == {200}, together
    assert set().union(*alone.values()) == {503}, alone
    add(table, fleet, "WEB_THREADS=4", "a process handles four requests at once, not five", 9)


def test_request_timeout(tuned, table):
    """A request that never ends gets 504 after REQUEST_TIMEOUT, at most 1.5 s late."""

    def spin(server) -> tuple[int, float]:
        started = time.monotonic()
        return status(server, request("GET /spin", "Connection: close")), time.monotonic() - started

    for name, (found, seconds) in tuned.on_each(spin).items():
        assert found == 504 and TIMEOUT <= seconds < TIMEOUT + 1.5, (name, found, seconds)
    add(table, tuned, f"REQUEST_TIMEOUT={TIMEOUT}, the app never answers", "504")


def test_hosts(tuned, table):
    """Hosts in ALLOWED_HOSTS are served; other hosts get 400."""
    served = ["probe", "PROBE:8080", "www.example.com", "example.com"]
    refused = ["other", "probe.evil.example", "notexample.com", "example.com.evil"]
    for host in served + refused:
        observed = tuned.on_each(lambda server, host=host: status(server, request("GET /x", host=host), 1))
        assert set(observed.values()) == {200 if host in served else 400}, (host, observed)
    add(table, tuned, "ALLOWED_HOSTS", "400 for other hosts", len(served + refused))


def test_two_proxies(tuned, table):
    """With TRUSTED_PROXIES=2, client and scheme come from the proxy in front of Nginx, not from the client."""
    headers = ["X-Forwarded-For: 203.0.113.66, 198.51.100.7", "X-Forwarded-Proto: https", "Connection: close"]

    def seen(server) -> tuple[str, str]:
        environ = json.loads(ask(server.stack.port, request("GET /x", *headers)).responses[0].body)
        return environ["REMOTE_ADDR"], environ["wsgi.url_scheme"]

    assert set(tuned.on_each(seen).values()) == {("198.51.100.7", "https")}
    add(
        table,
        tuned,
        "TRUSTED_PROXIES=2, three addresses in X-Forwarded-For",
        "the client and the scheme that the outer proxy reports",
    )


def test_forms_of_forwarded_addresses(tuned, table):
    """The client is an IP address, in whatever form the proxy appends it, or else the address of the connection."""
    connections = {name: environ["REMOTE_ADDR"] for name, environ in tuned.on_each(_environ).items()}
    for headers, client in FORWARDED.items():
        lines = [f"X-Forwarded-For: {value}" for value in headers]
        for name, environ in tuned.on_each(lambda server, lines=lines: _environ(server, *lines)).items():
            assert environ["REMOTE_ADDR"] == (client or connections[name]), (name, headers)
    assert all(map(ipaddress.ip_address, connections.values()))
    count = len(FORWARDED)
    add(table, tuned, f"{count} forms of an address in X-Forwarded-For", "an IP address in REMOTE_ADDR", count)


def test_forms_of_forwarded_schemes(tuned, table):
    """The scheme is the last one of X-Forwarded-Proto, in whatever form, since one proxy is in front of Nginx."""
    schemes = {"HTTPS": "https", '"https"': "https", "http, https": "https", "https,http": "http", "ftp": "http"}
    for value, scheme in schemes.items():
        for name, environ in tuned.on_each(lambda server, v=value: _environ(server, f"X-Forwarded-Proto: {v}")).items():
            assert environ["wsgi.url_scheme"] == scheme, (name, value)
    add(table, tuned, f"{len(schemes)} forms of X-Forwarded-Proto", "http or https", len(schemes))


def _environ(server, *headers: str) -> dict:
    return json.loads(ask(server.stack.port, request("GET /x", *headers, "Connection: close")).responses[0].body)


def test_methods(tuned, table):
    """ALLOWED_METHODS reach the app, also those of CalDAV and WebDAV; every other method gets 405."""
    for method in (*METHODS, "PUT", "HEAD", "MKCALENDAR", "REPORTS"):
        payload = request(f"{method} /x", "Connection: close", "Content-Length: 3", body=b"abc")
        for name, answer in tuned.on_each(lambda server, payload=payload: ask(server.stack.port, payload)).items():
            response = answer.responses[0]
            assert response.status == (200 if method in METHODS else 405), (name, method)
            assert response.status == 405 or json.loads(response.body)["REQUEST_METHOD"] == method, (name, method)
    add(table, tuned, f"ALLOWED_METHODS={','.join(METHODS)}", "405 for other methods", len(METHODS) + 4)


def test_keep_alive(tuned, table):
    """An idle connection stays open for KEEP_ALIVE."""

    def idle(server) -> float:
        with Connection(server.stack.port, timeout=20) as connection:
            connection.send(request())
            assert connection.read().status == 200
            began = time.monotonic()
            assert connection.read() is None
            return time.monotonic() - began

    for name, seconds in tuned.on_each(idle).items():
        assert KEEP_ALIVE - 0.1 <= seconds < KEEP_ALIVE + 1.5, (name, seconds)
    add(table, tuned, f"KEEP_ALIVE={KEEP_ALIVE}, an idle connection", "stays open for as long")


def test_pauses(tuned, table):
    """A client whose headers are not complete in time, or that pauses for too long within the body of an upload, is
    disconnected without a response. The app does not see its request.
    """

    def pause(server, payload: bytes) -> float:
        with Connection(server.stack.port, timeout=20) as connection:
            began = time.monotonic()
            connection.send(payload)
            assert connection.read() is None
            return time.monotonic() - began

    def both(server) -> list[float]:
        payloads = (request()[:-10], post("Content-Length: 20000", body=b"x" * 10000))
        with ThreadPoolExecutor() as pool:
            return list(pool.map(lambda payload: pause(server, payload), payloads))

    for name, results in tuned.on_each(both).items():
        assert all(LONGEST_PAUSE - 0.1 <= seconds < LONGEST_PAUSE + 1.5 for seconds in results), (name, results)
    for server in tuned.servers:
        assert 10_000 not in [seen.length for seen in server.seen()], server.name
    add(table, tuned, "a pause in the headers or the body that exceeds the limit", "disconnected", 2)


def test_silent_stream(tuned, table):
    """A stream of events that is silent for STREAM_TIMEOUT is cut off, and no other request of its process fails."""

    def silent(server) -> tuple[bool, bytes, float, set[int]]:
        with Connection(server.stack.port, timeout=20) as connection:
            began = time.monotonic()
            connection.send(request("GET /silent-events/20", "Connection: close"))
            with ThreadPoolExecutor() as pool:
                others = [pool.submit(_loop, server, began + STREAM_TIMEOUT + 2) for _ in range(THREADS)]
                response = connection.read()
                seconds = time.monotonic() - began
                statuses = set().union(*(other.result() for other in others))
        return response.whole, response.body, seconds, statuses

    for name, (is_whole, body, seconds, statuses) in tuned.on_each(silent).items():
        assert (is_whole, body, statuses) == (False, b"data: first\n\n", {200}), name
        assert STREAM_TIMEOUT <= seconds < STREAM_TIMEOUT + 5, (
            name,
            seconds,
        )  # the process finishes its requests first
    add(table, tuned, f"STREAM_TIMEOUT={STREAM_TIMEOUT}, a silent stream of events", "200, cut off, alone")


def _loop(server, end: float) -> set[int]:
    """Send requests of 0.5 s until `end`, and return their statuses."""
    statuses = set()
    while time.monotonic() < end:
        statuses.add(status(server, request("GET /sleep/0.5", "Connection: close")))
    return statuses


@pytest.mark.skipif(not network.has_ipv6(), reason="the kernel has no IPv6")
def test_ipv6(tuned, table):
    """Nginx answers clients over IPv6, at its own address and at the published port, and the app sees their address."""

    def over_ipv6(server) -> tuple[int, bool]:
        address = server.stack.inspect("nginx", "{{range .NetworkSettings.Networks}}{{.GlobalIPv6Address}}{{end}}")
        published, _ = _get(("::1", server.stack.port))
        own, client = _get((address, 8080))
        return published, own, client == ipaddress.ip_network(f"{address}/64", strict=False)[1].compressed

    assert tuned.on_each(over_ipv6) == {server.name: (200, 200, True) for server in tuned.servers}
    add(table, tuned, "a client over IPv6", "200, its address in REMOTE_ADDR", 2)


def _get(address: tuple[str, int]) -> tuple[int, str]:
    """Return the status of a response, and the REMOTE_ADDR that the app has seen."""
    connection = http.client.HTTPConnection(*address, timeout=10)
    try:
        connection.request("GET", "/x", headers={"Host": "probe"})
        response = connection.getresponse()
        return response.status, json.loads(response.read())["REMOTE_ADDR"]
    finally:
        connection.close()


def test_client_disconnects(fleet, table):
    """Clients that disconnect while they send or receive occupy no thread, and the next request is answered."""

    def disconnect(server) -> bool:
        for _ in range(20):
            with Connection(server.stack.port) as connection:
                connection.send(request("POST /x", "Content-Length: 1000", body=b"half"))
            with Connection(server.stack.port) as connection:
                connection.send(request("GET /stream"))
                connection.read_some()
        server.seen()
        return status(server, request("GET /x")) == 200 and len(server.seen()) == 1

    assert set(fleet.on_each(disconnect).values()) == {True}
    table.add(
        "Bodies and connections",
        "clients that disconnect while they send or receive",
        "the next request is answered",
        {server.name: "= 40" for server in fleet.servers},
        40,
    )


@pytest.mark.parametrize("fault", ["segfault", "exit", "allocate"])
def test_worker_dies(tuned, table, fault):
    """If an app kills its worker process, that request fails, and the server answers again without intervention."""

    def die(server) -> float:
        assert status(server, request(f"GET /die/{fault}", "Connection: close")) in (502, 504), server.name
        died = time.monotonic()
        while status(server, request("GET /x", "Connection: close")) != 200:
            assert time.monotonic() - died < BACK_WITHIN, f"{server.name} does not answer again"
        return time.monotonic() - died

    tuned.on_each(die)
    add(table, tuned, f"worker process dies: {fault}", "502, then the next requests are answered")


def test_environ(fleet, table):
    """The variables of PEP 3333 have the same values on every server."""
    observed = fleet.ask(request("GET /x?a=b"))
    assert differences(observed) == []
    for name, observation in observed.items():
        environ = observation.seen[0].environ
        expected = {
            "REQUEST_METHOD": "GET",
            "SCRIPT_NAME": "",
            "PATH_INFO": "/x",
            "QUERY_STRING": "a=b",
            "REMOTE_ADDR": "CLIENT",
            "SERVER_NAME": "probe",
            "SERVER_PORT": "80",
            "SERVER_PROTOCOL": environ["SERVER_PROTOCOL"],
            "wsgi.url_scheme": "http",
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
            "wsgi.input_terminated": True,
        }
        assert {key: environ.get(key) for key in expected} == expected, name
        # No variable of the process's environment, which contains secrets.
        assert not {"SECRET_KEY", "DATABASE_URL", "PATH", "HTTP_PORT"} & set(environ), name
    table.add(
        "WSGI environ",
        "variables of PEP 3333",
        "the same values; no environment variable of the process",
        {name: f"= {len(expected)}" for name in observed},
    )


def test_past_nginx(fleet, table):
    """A client that bypasses Nginx and connects to the socket cannot set SCRIPT_NAME or PATH_INFO by a header."""
    headers = [
        "SCRIPT_NAME: /evil",
        "Script-Name: /evil",
        "X-Forwarded-Prefix: /evil",
        "X-Forwarded-Proto: https",
        "X-Forwarded-Ssl: on",
        "X-Forwarded-For: 192.0.2.1",
        "Connection: close",
    ]
    code = (
        "import socket; s = socket.socket(socket.AF_UNIX); s.connect('/run/tripod/current.sock');"
        f"s.sendall({request('GET /x', *headers)!r});"
        "print(b''.join(iter(lambda: s.recv(65536), b'')).partition(b'\\r\\n\\r\\n')[2].decode())"
    )

    def seen(server) -> tuple[str, str]:
        shown = server.stack.compose("exec", "-T", "web", "python3", "-c", code).stdout
        environ = json.loads(shown[shown.index("{") : shown.rindex("}") + 1])
        return environ["SCRIPT_NAME"], environ["PATH_INFO"]

    assert set(fleet.on_each(seen).values()) == {("", "/x")}
    fleet.on_each(lambda server: server.seen())
    table.add(
        "Forwarded headers",
        "SCRIPT_NAME as a header, bypassing Nginx",
        "no effect",
        {server.name: "= 1" for server in fleet.servers},
    )
