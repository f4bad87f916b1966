"""Calling docker compose, and asking what it has made of the project."""

import functools
import json
import os
from dataclasses import dataclass, field

from cli import build_inputs, console
from deploy.errors import EXIT_CONFIG, StackError


@functools.cache
def environment():
    """The environment of every call: the shell's, and what builds need of the host."""
    return {**os.environ, **build_inputs.environment()}


def command(*words, profiles=()):
    """The command line of a compose call."""
    return ["docker", "compose", *(word for name in profiles for word in ("--profile", name)), *words]


def all_profiles():
    """The names of all profiles."""
    return console.capture(command("config", "--profiles"), env=environment()).stdout.split()


def config(settings=None, profiles=()):
    """The project as Compose understands it, with the values that hold: shell before .env before default."""
    env = {**environment(), **(settings or {})}
    shown = console.capture(command("config", "--format", "json", profiles=profiles), env=env)
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


def url(project):
    """Where the running stack answers, by the only port that it publishes; empty if it does not run."""
    ports = [port for one in containers(project) for port in one.ports.values()]
    return f"http://127.0.0.1:{ports[0]}" if ports else ""
