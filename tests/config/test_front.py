"""Real Nginx and real Apache alone: the headers of what they answer themselves, and what they log."""

import json
import os
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from deploy.middleware.plain_response import SECURITY_HEADERS
from deploy.settings import ROOT
from tests.support.ports import free_port
from tests.support.wsgi import CLEAN

HSTS = "max-age=63072000; includeSubDomains"
SECRET = "s3cr3t-t0ken.Zm9v"
NOBODY = 65534
WITHIN = 60  # seconds until a server answers, or has logged a request, on a busy machine
OVER_HTTPS = "X-Forwarded-Proto: https"
FRONTS = {"nginx": "nginx", "apache": "apache2"}
# What a server answers before it knows the location, and what it refuses.
BUILT_IN = {
    "unparsable": b"!! / HTTP/1.1\r\nHost: h\r\nX-Forwarded-Proto: https\r\n\r\n",
    "unknown version": b"GET / HTTP/9.9\r\nHost: h\r\nX-Forwarded-Proto: https\r\n\r\n",
    "unknown transfer encoding": b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip\r\n\r\n",
    "invalid length": b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: x\r\n\r\n",
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "two hosts": b"GET / HTTP/1.1\r\nHost: h\r\nHost: i\r\n\r\n",
    "invalid host": b"GET / HTTP/1.1\r\nHost: h i\r\n\r\n",
    "method": b"BREW / HTTP/1.1\r\nHost: h\r\n\r\n",
    "control character": b"GET /%01 HTTP/1.1\r\nHost: h\r\n\r\n",
    "long target": b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\nHost: h\r\n\r\n",
    "large header": b"GET / HTTP/1.1\r\nHost: h\r\nX: " + b"x" * 9000 + b"\r\n\r\n",
    "many headers": b"GET / HTTP/1.1\r\nHost: h\r\n" + b"X: y\r\n" * 120 + b"\r\n",
    "large body": b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999\r\n\r\n",
    "missing file": b"GET /static/none HTTP/1.1\r\nHost: h\r\n\r\n",
    "precondition": b'GET /static/a.txt HTTP/1.1\r\nHost: h\r\nIf-Match: "x"\r\n\r\n',
    "range": b"GET /static/a.txt HTTP/1.1\r\nHost: h\r\nRange: bytes=99-\r\n\r\n",
}


class Front:
    """A running server in front of the app, on a port of 127.0.0.1."""

    def __init__(self, name: str, folder: Path, **settings: str):
        self.name, self.port, self._log = name, free_port(), folder / "log"
        for part in ("assets", "cache", "run", "state"):
            (folder / part).mkdir()
        (folder / "assets" / "a.txt").write_text("a")
        environ = CLEAN | {
            "PATH": f"{CLEAN['PATH']}:/usr/sbin",
            "ASSETS_DIRECTORY": str(folder / "assets"),
            "STATIC_ROOT": str(folder / "assets"),
            "CACHE_DIRECTORY": str(folder / "cache"),
            "RUNTIME_DIRECTORY": str(folder / "run"),
            "STATE_DIRECTORY": str(folder / "state"),
            "HTTP_BIND": "127.0.0.1",
            "HTTP_PORT": str(self.port),
            "STRICT_TRANSPORT_SECURITY": HSTS,
            "TRUSTED_PROXIES": "2" if name == "nginx" else "1",
        }
        command = [str(ROOT / "nginx/start")]
        if name == "apache":
            environ |= {"PORT": str(self.port), "WSGI_SERVER": "mod_wsgi", "HOME": str(folder), "READY_PATH": "/"}
            environ |= {"WSGI_APP": "wsgiref.simple_server:demo_app", "WEB_CONCURRENCY": "1"}
            environ["APACHE_FRONT"] = str(ROOT / "deploy/targets/apache/front.conf")
            command = ["python3", str(ROOT / "deploy/start")]
        environ |= settings
        with self._log.open("ab") as log:  # several processes append to it
            self._process = subprocess.Popen(
                command, env=environ, cwd=ROOT, stdout=log, stderr=log, **_as_nobody(folder)
            )
        self._await_answer()

    def _await_answer(self) -> None:
        deadline = time.monotonic() + WITHIN
        while time.monotonic() < deadline and self._process.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.1)
        raise AssertionError(f"{self.name} does not answer:\n{self.log()}")

    def ask(self, payload: bytes) -> tuple[int, dict[str, list[str]]]:
        """Return the status and the headers of the response to these bytes."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=WITHIN) as connection:
            connection.sendall(payload)
            received = b""
            while b"\r\n\r\n" not in received and (data := connection.recv(65536)):
                received += data
        first, *lines = received.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
        headers: dict[str, list[str]] = {}
        for line in lines:
            name, _, value = line.partition(": ")
            headers.setdefault(name.lower(), []).append(value)
        return int(first.split()[1]), headers

    def log(self) -> str:
        return self._log.read_text(errors="backslashreplace")

    def await_line(self, text: str) -> str:
        """Return the log as soon as it contains the text."""
        deadline = time.monotonic() + WITHIN
        while text not in self.log() and time.monotonic() < deadline:
            time.sleep(0.1)
        return self.log()

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(timeout=60)


def _as_nobody(folder: Path) -> dict[str, int]:
    """Without root, since Apache's processes for the app do not start as root; the folder belongs to that user."""
    if os.getuid():
        return {}
    for path in (folder, *folder.iterdir()):
        os.chown(path, NOBODY, NOBODY)
    return {"user": NOBODY, "group": NOBODY}


@pytest.fixture(
    scope="module", params=[pytest.param(name, marks=pytest.mark.needs(program)) for name, program in FRONTS.items()]
)
def front(request):
    """Nginx without a web container, then Apache alone with an app."""
    with tempfile.TemporaryDirectory() as folder:  # pytest's own folders are closed to other users
        front = Front(request.param, Path(folder))
        yield front
        front.stop()


@pytest.mark.parametrize("request_", BUILT_IN.values(), ids=BUILT_IN)
def test_own_responses_have_the_security_headers(front, request_):
    """Every response of the server itself has the security headers, a request id and no-store, each once, also if the
    request could not be parsed.
    """
    status, headers = front.ask(request_)
    assert 400 <= status < 600
    for name, value in [*SECURITY_HEADERS, ("Cache-Control", "no-store")]:
        values = headers.get(name.lower(), [])
        if status not in (412, 416) or name != "Cache-Control":  # that of the file may be there too
            assert len(values) == 1, (status, name, headers)
        if name != "Content-Security-Policy":
            assert value in values
    policy = headers["content-security-policy"][0]
    assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy
    # Apache has an id only for requests that it could parse.
    assert len(headers.get("x-request-id", [])) == 1 or front.name == "apache" and status in (400, 414, 505)


@pytest.mark.parametrize("path", ["/", "/static/a.txt", "/static/none", "/%01", "/healthz"])
def test_hsts_is_sent_over_https_alone(front, path):
    """STRICT_TRANSPORT_SECURITY is a header of every response over HTTPS, once, and of none over HTTP."""
    request = f"GET {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n"
    _, secure = front.ask(f"{request}{OVER_HTTPS}\r\n\r\n".encode())
    _, plain = front.ask(f"{request}X-Forwarded-Proto: http\r\n\r\n".encode())
    assert (secure.get("strict-transport-security"), plain.get("strict-transport-security")) == ([HSTS], None)


def test_health_host_of_nginx_has_the_headers(front):
    """The host that Nginx's health check asks for is open to clients: its response has the security headers too."""
    if front.name != "nginx":
        return
    _, headers = front.ask(b"GET / HTTP/1.1\r\nHost: nginx-health.invalid\r\n\r\n")
    assert {name.lower() for name, _ in SECURITY_HEADERS} <= headers.keys()


def test_log_contains_no_secret(front):
    """No line contains a token of MASKED_PATHS, a query string or a password of a URL, whatever the request is."""
    targets = (
        f"/reset/{SECRET}",
        f"/confirm/{SECRET}/?x={SECRET}",
        f"/r%65set%2F{SECRET}",
        f"/a/../reset//{SECRET}",
        f"/?password={SECRET}",
        f"http://user:{SECRET}@h/reset/{SECRET}?x={SECRET}",
        f"/static/none?{SECRET}",
        f"/%01/reset/{SECRET}",
    )
    for target in targets:
        for line in (f"GET {target} HTTP/1.1", f"BREW {target} HTTP/1.1", f"GET {target} HTTP/9.9"):
            head = f"{line}\r\nHost: h\r\nReferer: http://u:{SECRET}@h/reset/{SECRET}?{SECRET}\r\n"
            front.ask(f"{head}Cookie: a={SECRET}\r\nConnection: close\r\n\r\n".encode())
    front.ask(b"GET /the-last-of-these HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
    log = front.await_line("the-last-of-these")
    assert "the-last-of-these" in log and "***" in log
    assert [line for line in log.splitlines() if SECRET in line] == []


def test_log_contains_no_control_character(front):
    """Control characters and bytes that are no ASCII, wherever a client sends them, reach the log only escaped."""
    odd = b"\x1b[2J\x1b]0;x\x07\x7f\xc2\x9b\xff"
    for request in (
        b"GET /static/none HTTP/1.1\r\nHost: h\r\nReferer: " + odd + b"\r\n",
        b"GET /static/" + odd + b" HTTP/1.1\r\nHost: h\r\n",
        b"GET / HTTP/1.1\r\nHost: " + odd + b"\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\nUser-Agent: " + odd + b"\r\nX-Forwarded-For: " + odd + b"\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\nX-Request-ID: " + odd + b"\r\nAuthorization: Basic " + odd + b"\r\n",
        odd + b" / HTTP/1.1\r\nHost: h\r\n",
    ):
        front.ask(request + b"Connection: close\r\n\r\n")
    front.ask(b"GET /the-last-odd-one HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
    lines = front.await_line("the-last-odd-one").splitlines()
    assert lines and all(line.isascii() and line.isprintable() and json.loads(line) for line in lines)
