"""The running stack and its host, as seen by one look at each: everything that the checks judge."""

import ctypes
import json
import shutil
import socket
import ssl
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from cli import compose, console

INSIDE = Path(__file__).with_name("container_facts.py")
LOG_LINES = 500
TIME_ERROR = 5  # what adjtimex(2) returns while nobody keeps the clock in step
COOKIE = "x" * 7900  # close below the 8 KiB that Nginx takes


@dataclass
class Response:
    """What a page gave; status 0 if nothing."""

    status: int = 0
    headers: dict = field(default_factory=dict)
    text: str = ""


@dataclass
class Facts:
    """`inspected`: docker inspect by service; `inside`: output of container_facts.py; `pages`: Responses by name."""

    inspected: dict = field(default_factory=dict)
    inside: dict = field(default_factory=dict)
    pages: dict = field(default_factory=dict)
    access_log: list = field(default_factory=list)
    disk: tuple = (1, 1)  # bytes: free, all
    clock_is_kept: bool = True
    clock_is_behind: bool = False
    certificate_days: float | None = None  # until it ends; None without an https URL
    certificate_error: str = ""


def gather(project, url, public_url):
    """Look at everything at once; what cannot be seen is left empty, for the checks to say so."""
    containers = {one.service: one for one in compose.containers(project)}
    found = json.loads(console.capture(["docker", "inspect", *(one.id for one in containers.values())]).stdout or "[]")
    facts = Facts(inspected={one["Config"]["Labels"]["com.docker.compose.service"]: one for one in found})
    with ThreadPoolExecutor() as pool:
        inside = {name: pool.submit(_inside, containers[name].id) for name in ("nginx", "web") if name in containers}
        pages = {name: pool.submit(_page, url + path, headers) for name, path, headers in _PAGES} if url else {}
        log = pool.submit(_access_log, containers["nginx"].id) if "nginx" in containers else None
        certificate = pool.submit(_certificate, public_url) if public_url else None
        facts.disk = _disk()
        facts.inside = {name: asked.result() for name, asked in inside.items()}
        facts.pages = {name: asked.result() for name, asked in pages.items()}
        facts.access_log = log.result() if log else []
        if certificate:
            facts.certificate_days, facts.certificate_error = certificate.result()
    facts.clock_is_kept = _adjtimex() != TIME_ERROR
    facts.clock_is_behind = time.time() < INSIDE.stat().st_mtime
    return facts


_PAGES = (
    ("alive", "/healthz", {}),
    ("first", "/", {}),
    ("no file", "/static/no-such-file.0123456789ab.css", {}),
    ("large cookie", "/healthz", {"Cookie": f"doctor={COOKIE}"}),
)


def _inside(container):
    done = console.capture(["docker", "exec", container, "python3", "-c", INSIDE.read_text()], timeout=8)
    if done.returncode:
        return {"error": (done.stderr.strip() or "no answer").splitlines()[-1]}
    return json.loads(done.stdout)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


def _page(url, headers):
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirect)
    try:
        answer = opener.open(urllib.request.Request(url, headers=headers), timeout=5)
    except urllib.error.HTTPError as error:
        answer = error
    except OSError:
        return Response()
    with answer:
        return Response(
            answer.status,
            {name.lower(): value for name, value in answer.headers.items()},
            answer.read(100_000).decode(errors="replace"),
        )


def _access_log(container):
    lines = console.capture(["docker", "logs", "--tail", str(LOG_LINES), container]).stdout.splitlines()
    return [json.loads(line) for line in lines if line.startswith("{") and '"nginx.access"' in line]


def _disk():
    root = console.capture(["docker", "info", "--format", "{{.DockerRootDir}}"]).stdout.strip()
    space = shutil.disk_usage(root if Path(root).is_dir() else "/")
    return space.free, space.total


def _adjtimex():
    nothing_to_change = ctypes.create_string_buffer(512)
    return ctypes.CDLL(None).adjtimex(nothing_to_change)


def _certificate(url):
    """(days until the certificate of an https URL ends, or None; why it could not be had)."""
    name, port = urlsplit(url).hostname, urlsplit(url).port or 443
    try:
        with socket.create_connection((name, port), timeout=5) as plain:
            with ssl.create_default_context().wrap_socket(plain, server_hostname=name) as secure:
                ends = ssl.cert_time_to_seconds(secure.getpeercert()["notAfter"])
    except OSError as error:
        return None, str(error)
    return (ends - time.time()) / 86400, ""
