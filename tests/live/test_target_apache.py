"""Apache without Nginx keeps the same promises: smoke tests, static files, refused requests, graceful stop."""

import json
import re
import socket
import threading
import time

import pytest
import requests

from tests.live.in_flight import in_background, wait_until_in_flight
from tests.live.stack import docker, smoke

APACHE = "../../deploy/targets/apache/compose.yml"
ENCODINGS = ("identity", "gzip", "br", "gzip, deflate, br", "br;q=0, gzip;q=0.5", "br;q=0.001", "compress")
# Headers about the connection, and those that each server sets on its own: the modification times of two copies of a
# file differ, and Apache supports ranges of a compressed file.
OWN_HEADERS = {"accept-ranges", "connection", "date", "etag", "keep-alive", "last-modified", "server", "x-request-id"}


@pytest.fixture(scope="module")
def apache(make_stack):
    stack = make_stack(APACHE)
    stack.up()
    return stack


@pytest.fixture(scope="module")
def slow_client(apache):
    """A client that never finishes its headers: a function that returns its response and the seconds until then."""
    connection = socket.create_connection(("127.0.0.1", apache.port), timeout=90)
    connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n")
    started, answers = time.monotonic(), []
    thread = threading.Thread(target=lambda: answers.append((connection.recv(100), time.monotonic() - started)))
    thread.start()

    def answer():
        thread.join()
        connection.close()
        return answers[0]

    return answer


@pytest.fixture(scope="module")
def probe(make_stack):
    """The probe behind Apache without Nginx, in one process that records all requests."""
    stack = make_stack(APACHE, "probe.yml", WEB_CONCURRENCY="1", RELEASE_COMMAND="true", MAX_BODY_SIZE="64k")
    stack.up()
    return stack


@pytest.fixture(scope="module")
def proxied(make_stack):
    """The probe behind Apache, which trusts one proxy. The tests start it, since one of them stops it."""
    return make_stack(APACHE, "probe.yml", WEB_CONCURRENCY="1", RELEASE_COMMAND="true", TRUSTED_PROXIES="1")


def test_smoke(apache, slow_client):
    """The smoke tests pass on Apache without Nginx, and no other container keeps running."""
    done = smoke(apache.url, "--expect-server", "mod_wsgi")
    assert done.returncode == 0, done.stdout + done.stderr
    assert apache.compose("ps", "--services").stdout.split() == ["web"]


def test_static_files_are_the_same(apache, make_stack):
    """Every static file has the same status, headers and bytes as with Nginx, for every Accept-Encoding."""
    nginx = make_stack()
    nginx.up()
    found = docker("exec", apache.container("web"), "find", "/opt/static", "-type", "f", "-printf", "%P\n").stdout
    names = [name for name in found.split() if not name.endswith((".br", ".gz", ".manifest.json"))]
    assert len(names) > 5
    with requests.Session() as session:
        for name in [*names, "css/none.css", "css/.hidden.css", ".manifest.json"]:
            for encoding in ENCODINGS:
                expected, actual = (_static(session, stack, name, encoding) for stack in (nginx, apache))
                assert actual == expected, f"{name} with Accept-Encoding {encoding}"


def _static(session, stack, name, encoding):
    answer = session.get(
        f"{stack.url}/static/{name}",
        headers={"Accept-Encoding": encoding},
        allow_redirects=False,
        stream=True,
        timeout=10,
    )
    assert re.fullmatch(r"\S{8,128}", answer.headers["X-Request-ID"])
    body = answer.raw.read(decode_content=False)
    if answer.status_code != 200:
        return answer.status_code, answer.headers["Cache-Control"], answer.headers["X-Content-Type-Options"]
    assert answer.headers["ETag"] and answer.headers["Last-Modified"]
    headers = {key.lower(): value for key, value in answer.headers.items() if key.lower() not in OWN_HEADERS}
    again = session.get(
        answer.url, headers={"Accept-Encoding": encoding, "If-None-Match": answer.headers["ETag"]}, timeout=10
    )
    return answer.status_code, headers, body, again.status_code, again.headers["Cache-Control"]


@pytest.mark.parametrize("method", ["POST", "OPTIONS", "TRACE", "BREW"])
def test_static_files_are_read_only(apache, method):
    """Static files accept only GET and HEAD, as with Nginx."""
    assert requests.request(method, f"{apache.url}/static/css/site.css", timeout=10).status_code == 405


def environ_of(stack, **headers: str) -> dict[str, str]:
    """Return the environ that the app receives for a request with these headers."""
    return requests.get(f"{stack.url}/echo", headers=headers, timeout=10).json()


def test_forged_headers_are_ignored(probe):
    """Without a proxy in front of Apache, forwarding headers from clients are ignored and do not reach the app."""
    headers = {
        "X-Forwarded-For": "6.6.6.6",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": "evil.example",
        "Forwarded": "for=6.6.6.6",
        "X-Real-IP": "6.6.6.6",
        "Script-Name": "/evil",
        "Proxy": "evil",
        "X-Original-URL": "/evil",
        "X_Forwarded_For": "6.6.6.6",
    }
    seen = environ_of(probe, **headers)
    assert seen["wsgi.url_scheme"] == "http" and seen["REMOTE_ADDR"] != "6.6.6.6" and not seen["SCRIPT_NAME"]
    assert [
        name for name, value in seen.items() if name.startswith("HTTP_") and ("6.6.6.6" in value or "evil" in value)
    ] == []


def test_too_large(probe):
    """A body larger than MAX_BODY_SIZE gets 413 from Apache, with a request ID; the app never receives the request."""
    requests.get(f"{probe.url}/seen", timeout=10)
    answer = requests.post(f"{probe.url}/canary/large", data=b"x" * (64 * 1024 + 1), timeout=10)
    assert answer.status_code == 413 and answer.headers["X-Request-ID"]
    assert requests.get(f"{probe.url}/seen", timeout=10).json() == []


@pytest.mark.parametrize(
    "request_line, headers, status",
    [
        ("GET / HTTP/0.9", "", 400),
        ("GET /%00 HTTP/1.1", "", 404),
        ("GET /a%0ab HTTP/1.1", "", 400),
        ("GET /\x01 HTTP/1.1", "", 400),
        ("GET /\xe9 HTTP/1.1", "", 400),
        ("GET / HTTP/1.1", "Host: a b\r\n", 400),
        ("GET / HTTP/1.1", "Host: a,b\r\n", 400),
        ("GET / HTTP/1.1", "Content-Type: a/b\r\nContent-Type: c/d\r\n", 400),
        ("GET / HTTP/1.1", "Bad header: x\r\n", 400),
        ("TRACE / HTTP/1.1", "", 405),
        ("BREW / HTTP/1.1", "", 405),
        ("GET /" + "x" * 4000 + " HTTP/1.1", "", 414),
        ("GET /?" + "x" * 9000 + " HTTP/1.1", "", 414),
        ("GET / HTTP/1.1", "".join(f"X-{n}: y\r\n" for n in range(110)), 400),
        ("POST / HTTP/1.1", "Transfer-Encoding: chunked\r\n", 411),
    ],
)
def test_invalid_request_is_refused(probe, request_line, headers, status):
    """Apache refuses the invalid requests that Nginx refuses, and the app does not receive them."""
    requests.get(f"{probe.url}/seen", timeout=10)
    host = "" if "Host:" in headers else "Host: localhost\r\n"
    request = f"{request_line}\r\n{host}{headers}Connection: close\r\n\r\n".encode("latin-1")
    assert _raw(probe, request).split(b" ")[1] == str(status).encode()
    assert requests.get(f"{probe.url}/seen", timeout=10).json() == []


def _raw(stack, request: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", stack.port), timeout=15) as connection:
        connection.sendall(request)
        return connection.recv(65536)


def test_log_lines_are_json(probe):
    """Every line of the access log is JSON, for any request, and contains no query string."""
    odd = {"User-Agent": 'a"b\\c\u00e9', "X-Request-ID": "find-me"}
    requests.get(f"{probe.url}/canary/%C3%A9%22%5C?token=secret", headers=odd, timeout=10)
    for _ in range(100):
        said = docker("logs", probe.container("web")).stdout
        lines = [line for line in said.splitlines() if "apache.access" in line]
        if found := [line for line in lines if "find-me" in line]:
            break
    assert json.loads(found[0])["path"] == "/canary/%c3%a9%22%5c"
    assert all(json.loads(line)["status"] for line in lines)
    assert "secret" not in "".join(lines)


def test_no_root(apache):
    """No process is root, the root file system is read-only and all capabilities are dropped, as with Nginx."""
    output = docker(
        "exec",
        apache.container("web"),
        "sh",
        "-c",
        "id -u; touch /srv/x 2>&1; grep -h CapEff /proc/self/status",
        check=False,
    ).stdout.splitlines()
    assert int(output[0]) >= 10000 and "Read-only file system" in output[1] and output[2].endswith("0" * 16)


def test_trusted_proxy(proxied):
    """Behind one load balancer (TRUSTED_PROXIES=1), the last address and the scheme are trusted."""
    proxied.up()
    seen = environ_of(proxied, **{"X-Forwarded-For": "6.6.6.6, 192.0.2.7", "X-Forwarded-Proto": "https"})
    assert (seen["REMOTE_ADDR"], seen["wsgi.url_scheme"]) == ("192.0.2.7", "https")


def test_stop_finishes_in_flight_requests(proxied):
    """`docker compose stop` lets a request of 3 s finish, and the container exits with status 0."""
    proxied.up()
    answer = in_background(f"{proxied.url}/sleep/3")
    wait_until_in_flight(proxied, "/sleep/3")
    proxied.compose("stop", "web")
    assert answer().status_code == 200
    assert proxied.inspect("web", "{{.State.ExitCode}}") == "0"


def test_slow_headers(slow_client):
    """A client that does not finish its headers is disconnected after 60 s; other clients are served meanwhile."""
    answer, seconds = slow_client()
    assert answer == b"" or b" 408 " in answer
    assert 59 < seconds < 75
