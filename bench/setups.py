"""What is measured: the stack with each server, what people copy, and the limits. Each knows how to start and stop."""

import os
import secrets
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field

from bench.docker import docker
from cli.console import ROOT
from deploy.settings import server_names

# What runs in every setup unless an app is brought: bench/workload.
SAMPLE = {
    "WSGI_APP": "workload:application",
    "READY_PATH": "/readyz",
    "RELEASE_COMMAND": "sh /opt/workload/prepare",
    "PRELOAD": "on",
}  # as for the sample app, which it is for the most part
BROUGHT = {"READY_PATH": "/", "RELEASE_COMMAND": "true"}

PROJECT = f"tripod-bench-{secrets.token_hex(3)}"
ANSWER_WITHIN = 60  # seconds until a started setup answers
ONE_CLIENT = {"CLIENT_CONNECTIONS": "0", "CLIENT_RATE": "0"}  # no limits: all load comes from one address


@dataclass(frozen=True)
class Work:
    """One kind of request. `clients` ask at the same time, each again as soon as it has its answer."""

    name: str
    path: str
    meaning: str
    method: str = "GET"
    body: int = 0  # bytes
    clients: int = 16
    cookie: str = ""


WORKS = (
    Work("json", "/bench/json", "a Flask view that returns JSON"),
    Work("page", "/bench/page", "a template of 20 rows"),
    Work("timeline", "/", "the sample app's first page, from SQLite, for somebody with a cookie", cookie="any=cookie"),
    Work("static", "/static/css/site.css", "a style sheet"),
    Work("upload", "/bench/upload", "1 MB sent, and read by the view", "POST", 1_000_000),
    Work("wait", "/bench/wait", "a view that waits 50 ms"),
    Work("cached", "/", "the same for a stranger: kept for a second by this stack's Nginx, made anew by the others"),
)


@dataclass
class Setup:
    """Some services of a Compose project, asked at port 8080 of the first one."""

    name: str
    title: str
    kind: str  # stack, copied or limit
    services: tuple[str, ...]
    files: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    works: frozenset[str] | None = None  # None: all
    containers: list[str] = field(default_factory=list)
    url: str = ""

    @property
    def project(self) -> str:
        return f"{PROJECT}-{self.name}"

    def does(self, work: Work) -> bool:
        return self.works is None or work.name in self.works

    def compose(self, *args: str) -> str:
        files = [part for file in self.files for part in ("--file", file)]
        # COMPOSE_ENV_FILES: a person's .env may name the database that must not be touched.
        env = os.environ | {"COMPOSE_ENV_FILES": "/dev/null"} | self.env
        command = ["docker", "compose", "--project-name", self.project, *files, *args]
        done = subprocess.run(command, cwd=ROOT, env=env, text=True, capture_output=True)
        if done.returncode:
            raise RuntimeError(f"{self.title}: docker compose {args[0]} ended with {done.returncode}:\n{done.stderr}")
        return done.stdout

    def up(self) -> None:
        """Starts it and waits until it answers. RuntimeError if it does not."""
        self.compose("up", "--detach", "--no-build", *self.services)
        self.containers = [self.compose("ps", "--all", "--quiet", service).strip() for service in self.services]
        address = docker(
            "inspect", "--format", "{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}", self.containers[0]
        ).stdout.split()
        if not address:
            raise RuntimeError(f"{self.title} ended at once:\n{docker('logs', self.containers[0]).stderr[-1000:]}")
        self.url = f"http://{address[0]}:8080"

    def await_answer(self, path: str) -> None:
        """Returns with the first 200; RuntimeError with the containers' last words if there is none."""
        deadline, said = time.monotonic() + ANSWER_WITHIN, ""
        while time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(self.url + path, timeout=5):
                    return
            except OSError as error:
                said = str(error)
            time.sleep(0.05)
        logs = "\n".join(docker("logs", "--tail", "15", one).stderr for one in self.containers)
        raise RuntimeError(f"{self.title} does not answer at {path}: {said}\n{logs}")

    def down(self) -> None:
        self.compose("down", "--volumes", "--timeout", "1", "--remove-orphans")


def _stack(name: str, title: str, **env: str) -> Setup:
    files = ("docker-compose.yml", "bench/stack.yml")
    return Setup(name, title, "stack", ("nginx", "web"), files, ONE_CLIENT | env)


def as_it_comes() -> Setup:
    """The stack with the sample app alone and no setting: what `docker compose up` starts."""
    return _stack("as-it-comes", "the stack as it comes", **dict.fromkeys(SAMPLE, ""))


def _other(name: str, title: str, *more: str, kind: str = "copied", works: frozenset[str] | None = None) -> Setup:
    return Setup(name, title, kind, (name, *more), ("bench/others/compose.yml",), works=works)


def every(app: str | None = None) -> list[Setup]:
    """All setups, the stack's own first. `app`: a brought app's module:callable, instead of the sample work."""
    os.environ.update(BROUGHT | os.environ | {"WSGI_APP": app} if app else SAMPLE)
    sync = {"WSGI_SERVER": "gunicorn", "WEB_THREADS": "1", "GUNICORN_CMD_ARGS": "--worker-class sync"}
    return [
        *(_stack(server, f"this stack, {server}", WSGI_SERVER=server) for server in server_names()),
        _stack("gunicorn-sync", "this stack, gunicorn, sync", **sync),
        _other("single-container", "Nginx + uWSGI in one container"),
        _other("nginx-tcp", "Nginx → TCP → gunicorn -w 3", "nginx-tcp-app"),
        _other("gunicorn-alone", "gunicorn -w 3 alone"),
        _other("mod_wsgi-express", "mod_wsgi-express alone"),
        _other("bare-nginx", "bare Nginx", kind="limit", works=frozenset({"static", "cached"})),
        _other(
            "bare-callable", "bare callable, in process", kind="limit", works=frozenset({"json", "page", "timeline"})
        ),
    ]
