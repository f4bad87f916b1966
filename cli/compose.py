"""Calls of Docker Compose, and what it reports about the project."""

import functools
import json
import os
from dataclasses import dataclass, field

from cli import build_inputs, console, dotenv
from deploy.errors import EXIT_CONFIG, StackError, StackErrors
from deploy.settings import HOST_ONLY, SETTINGS, load_settings

# Settings that ./stack and Compose read on the host: the containers never see them, so only ./stack can check them.
HOST_SETTINGS = {setting.name for setting in SETTINGS if setting.group in HOST_ONLY} | {"HTTP_PORT", "HTTP_BIND"}

# Addresses that listen on all interfaces: connect to the loopback address instead.
LOOPBACK = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}

COMPOSE_FILE = "docker-compose.yml"
OVERRIDES = ("docker-compose.override.yml", "docker-compose.override.yaml")  # read by Compose if they exist
TOOLS_FILE = "compose.tools.yml"  # lock, smoke, test, bench: images that ./stack runs, but that no stack needs

HEALTHY_WITHIN = 180  # seconds; a container that is not healthy by then has failed


@functools.cache
def environment():
    """Return the environment of every call: the shell's, and what builds need of the host."""
    return {**os.environ, **build_inputs.environment()}


def command(*words, profiles=(), tools=False):
    """Return the command line of a call; `tools` adds the services of compose.tools.yml."""
    files = [word for name in (_tool_files() if tools else ()) for word in ("--file", name)]
    return ["docker", "compose", *files, *(word for name in profiles for word in ("--profile", name)), *words]


def _tool_files():
    """Return the files that Compose would read by itself, and compose.tools.yml.

    With --file, Compose ignores COMPOSE_FILE and its default files.
    https://docs.docker.com/reference/cli/docker/compose/
    """
    settings = {**dotenv.values(), **os.environ}
    separator = settings.get("COMPOSE_PATH_SEPARATOR") or os.pathsep
    files = [name for name in (settings.get("COMPOSE_FILE") or "").split(separator) if name]
    files = files or [COMPOSE_FILE, *(name for name in OVERRIDES if (console.ROOT / name).exists())]
    return files if TOOLS_FILE in files else [*files, TOOLS_FILE]


def up_command(*options):
    """Return the command line that starts the services in the background and waits until they are healthy."""
    return command("up", "--detach", *options, "--wait", "--wait-timeout", str(HEALTHY_WITHIN))


def all_profiles():
    """Return the names of all profiles."""
    return console.capture(command("config", "--profiles"), env=environment()).stdout.split()


def config(settings=None, profiles=(), tools=False):
    """Return the project as Compose reads it. The shell overrides .env, .env overrides defaults."""
    env = {**environment(), **(settings or {})}
    done = console.capture(command("config", "--format", "json", profiles=profiles, tools=tools), env=env)
    if done.returncode:
        raise _config_error(env, done.stderr.strip())
    return json.loads(done.stdout)


def _config_error(env, message):
    """Return the errors of the settings that Compose reads, or an error with Compose's own message."""
    try:
        load_host_settings(env)
    except StackErrors as errors:
        return errors
    return StackError(
        "Docker Compose cannot read docker-compose.yml with the current settings.",
        message,
        "docker compose config   (the settings come from your shell, then from .env)",
        EXIT_CONFIG,
    )


def load_host_settings(env=os.environ):
    """Return the settings that are read on the host. Raise StackErrors if any is invalid."""
    dotenv.require_known_variables(env)
    return load_settings({**dotenv.values(env), **env}, only=HOST_SETTINGS)


@dataclass(frozen=True)
class Container:
    """One container of the project."""

    id: str
    service: str
    image: str
    state: str
    health: str
    exit_code: int
    since: str  # when it started, or exited
    ports: dict = field(default_factory=dict)  # container port: (host address, host port)
    name: str = ""
    hostname: str = ""  # its socket has this name
    image_id: str = ""
    environment: dict = field(default_factory=dict)
    restarts: int = 0
    health_output: str = ""  # what its last health check has printed

    @property
    def has_failed(self):
        """Whether it is unhealthy, exited with an error or keeps restarting."""
        return (
            self.state in ("restarting", "dead")
            or self.health == "unhealthy"
            or (self.state == "exited" and self.exit_code != 0)
        )


def containers(project):
    """Return the containers of a project, running or not, without those of `docker compose run`."""
    labels = (f"com.docker.compose.project={project}", "com.docker.compose.oneoff=False")
    filters = [word for label in labels for word in ("--filter", f"label={label}")]
    ids = console.capture(["docker", "ps", "-aq", *filters]).stdout.split()
    if not ids:
        return []
    inspected = json.loads(console.capture(["docker", "inspect", *ids]).stdout or "[]")
    return sorted(map(_container, inspected), key=lambda container: (container.service, container.since))


def _last_health_output(state):
    log = state.get("Health", {}).get("Log") or [{"Output": ""}]
    return log[-1]["Output"].strip()


def _container(inspected):
    state = inspected["State"]
    is_up = state["Status"] in ("running", "restarting", "paused")
    return Container(
        id=inspected["Id"],
        service=inspected["Config"]["Labels"]["com.docker.compose.service"],
        image=inspected["Config"]["Image"],
        state=state["Status"],
        health=state.get("Health", {}).get("Status", ""),
        health_output=_last_health_output(state),
        exit_code=state["ExitCode"],
        since=state["StartedAt" if is_up else "FinishedAt"],
        ports={
            int(port.split("/")[0]): (bindings[0]["HostIp"], int(bindings[0]["HostPort"]))
            for port, bindings in (inspected["NetworkSettings"]["Ports"] or {}).items()
            if bindings
        },
        name=inspected["Name"].lstrip("/"),
        hostname=inspected["Config"]["Hostname"],
        image_id=inspected["Image"],
        environment=dict(line.split("=", 1) for line in inspected["Config"]["Env"] or [] if "=" in line),
        restarts=inspected["RestartCount"],
    )


def front_service(names):
    """Return the service that clients connect to: Nginx, or web where Apache runs alone."""
    return "nginx" if "nginx" in names else "web"


def front_port(ports):
    """Return the value of the HTTP port from a dict by container port: of 8080, else of the first; None without one."""
    return ports.get(8080, next(iter(ports.values()), None))


def log_tail(container):
    """Return the last lines of a container's log, for an error."""
    logs = console.capture(["docker", "logs", "--tail", str(console.LOG_TAIL), container])
    return (logs.stdout + logs.stderr).strip() or console.NO_OUTPUT


def url(project):
    """Return the URL of the running stack; empty if it is not running or publishes no port."""
    everything = containers(project)
    front = front_service({container.service for container in everything})
    published = next((front_port(one.ports) for one in everything if one.service == front and one.ports), None)
    return format_url(*published) if published else ""


def format_url(address, port):
    """Return the URL of a published port, as this machine reaches it."""
    host = LOOPBACK.get(address, address)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
