"""The configurations that are compared and the workloads that each of them serves.

Three kinds: this stack with each WSGI server ("stack"), common reference configurations ("reference") and lower bounds
for the cost of a request ("bound").
"""

import os
import secrets
import subprocess
import time
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field

from bench.docker import docker
from cli.console import ROOT
from deploy.settings import server_names

# Settings for bench/workload, which runs in every configuration unless a custom app is measured. They are those of the
# sample app, which is the larger part of it.
WORKLOAD_SETTINGS = {
    "WSGI_APP": "workload:application",
    "READY_PATH": "/readyz",
    "RELEASE_COMMAND": "sh /opt/workload/prepare",
    "PRELOAD": "on",
}
CUSTOM_APP_DEFAULTS = {"READY_PATH": "/", "RELEASE_COMMAND": "true"}

PROJECT = f"tripod-bench-{secrets.token_hex(3)}"
START_TIMEOUT = 60  # seconds from the start of the containers to the first 200
NO_CLIENT_LIMITS = {"CLIENT_CONNECTIONS": "0", "CLIENT_RATE": "0"}  # the whole load comes from one client address


@dataclass(frozen=True)
class Workload:
    """One kind of request. Each of the `clients` sends its next request as soon as it has the previous response."""

    name: str
    path: str
    meaning: str
    method: str = "GET"
    body: int = 0  # bytes
    clients: int = 16
    cookie: str = ""


WORKLOADS = (
    Workload("json", "/bench/json", "a Flask view that returns JSON"),
    Workload("page", "/bench/page", "a template with 20 rows"),
    Workload(
        "timeline", "/", "the sample app's home page from SQLite, for a client with a cookie", cookie="any=cookie"
    ),
    Workload("static", "/static/css/site.css", "a style sheet"),
    Workload("upload", "/bench/upload", "a request body of 1 MB, read by the view", "POST", 1_000_000),
    Workload("wait", "/bench/wait", "a view that sleeps for 50 ms"),
    Workload(
        "cached",
        "/",
        "the home page for an anonymous client; Tripod's Nginx caches it for one second",
    ),
)


@dataclass
class Configuration:
    """Services of a Compose project. The first one receives the requests, on port 8080."""

    name: str
    title: str
    kind: str  # stack, reference or bound
    services: tuple[str, ...]
    files: tuple[str, ...]
    env: Mapping[str, str]
    workloads: frozenset[str] | None = None  # names; None: all
    containers: list[str] = field(default_factory=list)
    url: str = ""

    @property
    def project(self) -> str:
        """The name of its Compose project."""
        return f"{PROJECT}-{self.name}"

    def serves(self, workload: Workload) -> bool:
        """Whether the workload is measured with this configuration."""
        return self.workloads is None or workload.name in self.workloads

    def compose(self, *args: str) -> str:
        """Run `docker compose` for this configuration. Raises RuntimeError on a non-zero status."""
        files = [part for file in self.files for part in ("--file", file)]
        # COMPOSE_ENV_FILES: the operator's .env may name a database that the benchmark must not touch.
        env = os.environ | {"COMPOSE_ENV_FILES": "/dev/null"} | self.env
        command = ["docker", "compose", "--project-name", self.project, *files, *args]
        done = subprocess.run(command, cwd=ROOT, env=env, text=True, capture_output=True)
        if done.returncode:
            raise RuntimeError(f"{self.title}: docker compose {args[0]} exited with {done.returncode}:\n{done.stderr}")
        return done.stdout

    def up(self) -> None:
        """Start the containers and look up the address that receives the requests. Does not wait for a response."""
        self.compose("up", "--detach", "--no-build", *self.services)
        self.containers = [self.compose("ps", "--all", "--quiet", service).strip() for service in self.services]
        address = docker(
            "inspect", "--format", "{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}", self.containers[0]
        ).stdout.split()
        if not address:
            logs = docker("logs", self.containers[0]).stderr[-1000:]
            raise RuntimeError(f"{self.title}: the container exited right after its start:\n{logs}")
        self.url = f"http://{address[0]}:8080"

    def await_response(self, path: str) -> None:
        """Wait for the first 200. After START_TIMEOUT, raise RuntimeError with the containers' logs."""
        deadline, last_error = time.monotonic() + START_TIMEOUT, ""
        while time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(self.url + path, timeout=5):
                    return
            except OSError as error:
                last_error = str(error)
            time.sleep(0.05)
        logs = "\n".join(docker("logs", "--tail", "15", container).stderr for container in self.containers)
        raise RuntimeError(f"{self.title}: no response at {path} after {START_TIMEOUT} s: {last_error}\n{logs}")

    def down(self) -> None:
        """Remove the containers and volumes."""
        self.compose("down", "--volumes", "--timeout", "1", "--remove-orphans")


def _stack(name: str, title: str, env: Mapping[str, str]) -> Configuration:
    files = ("docker-compose.yml", "bench/stack.yml")
    return Configuration(name, title, "stack", ("nginx", "web"), files, NO_CLIENT_LIMITS | env)


def default_stack() -> Configuration:
    """The stack with the sample app and without any setting: what `docker compose up` starts."""
    return _stack("default", "Tripod with its defaults", dict.fromkeys(WORKLOAD_SETTINGS, ""))


def app_settings(app: str | None) -> dict[str, str]:
    """The settings of what is measured: `app`, the module:callable of a custom app, or bench/workload."""
    if not app:
        return WORKLOAD_SETTINGS
    own = {name: os.environ.get(name, default) for name, default in CUSTOM_APP_DEFAULTS.items()}
    return own | {"WSGI_APP": app}


def all_configurations(app: str | None = None) -> list[Configuration]:
    """All configurations, those of this stack first. `app` is the module:callable of a custom app to measure."""
    settings = app_settings(app)

    def stack(name: str, title: str, **env: str) -> Configuration:
        return _stack(name, title, settings | env)

    def other(name: str, title: str, *more: str, kind: str = "reference", workloads=None) -> Configuration:
        files = ("bench/reference/compose.yml",)
        return Configuration(name, title, kind, (name, *more), files, settings, workloads)

    sync = {"WSGI_SERVER": "gunicorn", "WEB_THREADS": "1", "GUNICORN_CMD_ARGS": "--worker-class sync"}
    in_process = frozenset({"json", "page", "timeline"})
    return [
        *(stack(server, f"Tripod, {server}", WSGI_SERVER=server) for server in server_names()),
        stack("gunicorn-sync", "Tripod, gunicorn, sync worker", **sync),
        other("single-container", "Nginx + uWSGI in one container"),
        other("nginx-tcp", "Nginx → TCP → gunicorn -w 3", "nginx-tcp-app"),
        other("gunicorn-alone", "gunicorn -w 3 without a proxy"),
        other("mod_wsgi-express", "mod_wsgi-express without a proxy"),
        other("bare-nginx", "bare Nginx", kind="bound", workloads=frozenset({"static", "cached"})),
        other("bare-callable", "WSGI callable in process", kind="bound", workloads=in_process),
    ]
