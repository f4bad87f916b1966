"""Calling docker compose, and asking what it has made of the project."""

import functools
import json
import os
from dataclasses import dataclass, field

from cli import build_inputs, console, dotenv
from deploy.errors import EXIT_CONFIG, StackError

COMPOSE_FILE = "docker-compose.yml"
OVERRIDES = ("docker-compose.override.yml", "docker-compose.override.yaml")  # read by Compose if they exist
TOOLS_FILE = "compose.tools.yml"  # lock, smoke, test, bench: images that ./stack runs, but that no stack needs

HEALTHY_WITHIN = 180  # seconds; a container that is not healthy by then does not become healthy


@functools.cache
def environment():
    """The environment of every call: the shell's, and what builds need of the host."""
    return {**os.environ, **build_inputs.environment()}


def command(*words, profiles=(), tools=False):
    """The command line of a Compose call; `tools` adds the services of compose.tools.yml."""
    files = [word for name in (_tool_files() if tools else ()) for word in ("--file", name)]
    return ["docker", "compose", *files, *(word for name in profiles for word in ("--profile", name)), *words]


def _tool_files():
    """The files that Compose would read by itself, and compose.tools.yml.

    With --file, Compose ignores COMPOSE_FILE and its default files.
    https://docs.docker.com/reference/cli/docker/compose/
    """
    settings = {**dotenv.values(), **os.environ}
    separator = settings.get("COMPOSE_PATH_SEPARATOR") or os.pathsep
    files = [name for name in (settings.get("COMPOSE_FILE") or "").split(separator) if name]
    files = files or [COMPOSE_FILE, *(name for name in OVERRIDES if (console.ROOT / name).exists())]
    return files if TOOLS_FILE in files else [*files, TOOLS_FILE]


def up_command(*options):
    """The command line that starts the services in the background and waits until they are healthy."""
    return command("up", "--detach", *options, "--wait", "--wait-timeout", str(HEALTHY_WITHIN))


def all_profiles():
    """The names of all profiles."""
    return console.capture(command("config", "--profiles"), env=environment()).stdout.split()


def config(settings=None, profiles=(), tools=False):
    """The project as Compose understands it, with the values that hold: shell before .env before default."""
    env = {**environment(), **(settings or {})}
    shown = console.capture(command("config", "--format", "json", profiles=profiles, tools=tools), env=env)
    if shown.returncode:
        raise StackError(
            "docker-compose.yml cannot be read with the settings that hold.",
            shown.stderr.strip(),
            "docker compose config   (the settings come from your shell, then from .env)",
            status=EXIT_CONFIG,
        )
    return json.loads(shown.stdout)


@dataclass(frozen=True)
class Container:
    """One container of the project."""

    id: str
    service: str
    image: str
    state: str
    health: str
    exit_code: int
    since: str
    ports: dict = field(default_factory=dict)
    name: str = ""
    hostname: str = ""  # the name of the host inside, which its socket is named after
    image_id: str = ""
    environment: dict = field(default_factory=dict)
    restarts: int = 0

    @property
    def has_failed(self):
        """Ended with an error, ends again and again, or says that it is not well."""
        return (
            self.state in ("restarting", "dead")
            or self.health == "unhealthy"
            or (self.state == "exited" and self.exit_code != 0)
        )


def containers(project):
    """The containers of a project, running or not, without those of `docker compose run`."""
    labels = (f"com.docker.compose.project={project}", "com.docker.compose.oneoff=False")
    filters = [word for label in labels for word in ("--filter", f"label={label}")]
    found = console.capture(["docker", "ps", "-aq", *filters]).stdout.split()
    if not found:
        return []
    inspected = json.loads(console.capture(["docker", "inspect", *found]).stdout or "[]")
    return sorted((_container(one) for one in inspected), key=lambda one: (one.service, one.since))


def _container(one):
    state = one["State"]
    is_up = state["Status"] in ("running", "restarting", "paused")
    return Container(
        id=one["Id"],
        service=one["Config"]["Labels"]["com.docker.compose.service"],
        image=one["Config"]["Image"],
        state=state["Status"],
        health=state.get("Health", {}).get("Status", ""),
        exit_code=state["ExitCode"],
        since=state["StartedAt" if is_up else "FinishedAt"],
        ports={
            int(inner.split("/")[0]): int(bindings[0]["HostPort"])
            for inner, bindings in (one["NetworkSettings"]["Ports"] or {}).items()
            if bindings
        },
        name=one["Name"].lstrip("/"),
        hostname=one["Config"]["Hostname"],
        image_id=one["Image"],
        environment=dict(line.split("=", 1) for line in one["Config"]["Env"] or [] if "=" in line),
        restarts=one["RestartCount"],
    )


def log_tail(container):
    """The last lines of a container's log, for an error."""
    logs = console.capture(["docker", "logs", "--tail", str(console.LOG_TAIL), container])
    return (logs.stdout + logs.stderr).strip() or "(no output)"


def url(project):
    """Where the running stack answers, by the only port that it publishes; empty if it does not run."""
    ports = [port for one in containers(project) for port in one.ports.values()]
    return f"http://127.0.0.1:{ports[0]}" if ports else ""
