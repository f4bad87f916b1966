"""Gather the facts about the running stack and its host that the checks judge."""

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

from cli import compose, console, project
from deploy.errors import StackErrors

CONTAINER_FACTS = Path(__file__).with_name("container_facts.py")
ACCESS_LOG_LINES = 500
TIME_ERROR = 5  # adjtimex(2) returns it while the clock is not synchronized
PAGES = {"liveness": "/healthz", "front page": "/"}


@dataclass
class Response:
    """The response to a request; status 0 if there was none."""

    status: int = 0


@dataclass
class Facts:
    """inspected: `docker inspect` by service. in_container: output of container_facts.py by service. pages: Responses
    by name of the page. setting_errors: what the check of all settings finds. disk: free and total bytes of Docker's
    volumes; None if the engine runs on another machine. clock_is_synchronized: None if unknown. certificate_days: until
    it expires; None without an https URL.
    """

    inspected: dict = field(default_factory=dict)
    in_container: dict = field(default_factory=dict)
    pages: dict = field(default_factory=dict)
    access_log: list = field(default_factory=list)
    setting_errors: list = field(default_factory=list)
    disk: tuple | None = None
    clock_is_synchronized: bool | None = None
    clock_is_behind: bool = False
    certificate_days: float | None = None
    certificate_error: str = ""
    now: float = field(default_factory=time.time)


def gather(config, url, public_url):
    """Gather all facts at the same time; those that cannot be read stay empty, and the checks report that."""
    containers = {container.service: container for container in compose.containers(config["name"])}
    ids = [container.id for container in containers.values()]
    inspected = json.loads(console.capture(["docker", "inspect", *ids]).stdout or "[]")
    facts = Facts(setting_errors=_setting_errors(config))
    facts.inspected = {one["Config"]["Labels"]["com.docker.compose.service"]: one for one in inspected}
    with ThreadPoolExecutor() as pool:
        in_container = {
            service: pool.submit(_container_facts, containers[service].id)
            for service in ("nginx", "web")
            if service in containers
        }
        pages = {name: pool.submit(_get, url + path) for name, path in PAGES.items()} if url else {}
        log = pool.submit(_access_log, containers["nginx"].id) if "nginx" in containers else None
        certificate = pool.submit(_certificate, public_url) if public_url else None
        facts.disk = _disk()
        facts.in_container = {service: future.result() for service, future in in_container.items()}
        facts.pages = {name: future.result() for name, future in pages.items()}
        facts.access_log = log.result() if log else []
        if certificate:
            facts.certificate_days, facts.certificate_error = certificate.result()
    facts.clock_is_synchronized = _clock_is_synchronized()
    facts.clock_is_behind = time.time() < CONTAINER_FACTS.stat().st_mtime
    return facts


def _setting_errors(config):
    """The errors of the settings from which the next ./stack up would start."""
    try:
        project.check_settings(config)
    except StackErrors as errors:
        return errors.errors
    return []


def _container_facts(container):
    script = CONTAINER_FACTS.read_text()
    done = console.capture(["docker", "exec", container, "python3", "-c", script], timeout=8)
    if done.returncode:
        return {"error": (done.stderr.strip() or console.NO_OUTPUT).splitlines()[-1]}
    return json.loads(done.stdout)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


def _get(url):
    # Without a proxy: the proxy of a company cannot reach 127.0.0.1 of this machine.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirect)
    try:
        with opener.open(url, timeout=5) as response:
            return Response(response.status)
    except urllib.error.HTTPError as error:
        return Response(error.code)
    except OSError:
        return Response()


def _access_log(container):
    lines = console.capture(["docker", "logs", "--tail", str(ACCESS_LOG_LINES), container]).stdout.splitlines()
    return [json.loads(line) for line in lines if line.startswith("{") and '"nginx.access"' in line]


def _disk():
    """Free and total bytes of the disk with Docker's volumes; None if the engine runs in another machine or a VM."""
    root = Path(console.capture(["docker", "info", "--format", "{{.DockerRootDir}}"]).stdout.strip() or "/nonexistent")
    try:
        space = shutil.disk_usage(root)
    except OSError:
        return None
    return space.free, space.total


def _clock_is_synchronized():
    """Whether the kernel considers the clock synchronized; None if this system has no adjtimex(2)."""
    adjtimex = getattr(ctypes.CDLL(None), "adjtimex", None)
    if adjtimex is None:
        return None
    request = ctypes.create_string_buffer(512)  # a struct timex of zeros changes nothing
    return adjtimex(request) != TIME_ERROR


def _certificate(url):
    """(days until the certificate of an https URL expires, or None; why it could not be read)."""
    name, port = urlsplit(url).hostname, urlsplit(url).port or 443
    try:
        with socket.create_connection((name, port), timeout=5) as plain:
            with ssl.create_default_context().wrap_socket(plain, server_hostname=name) as secure:
                expires = ssl.cert_time_to_seconds(secure.getpeercert()["notAfter"])
    except OSError as error:
        return None, str(error)
    return (expires - time.time()) / 86400, ""
