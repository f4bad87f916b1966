"""A configuration and its containers: start, address, stop."""

import json
import os
import secrets
import subprocess
import time
import urllib.request
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bench.docker import docker
from bench.workloads import Workload
from cli.console import ROOT, state_folder
from deploy.errors import StackError

PROJECT = f"tripod-bench-{secrets.token_hex(3)}"
START_TIMEOUT = 60  # seconds from the start of the containers to the first 200


@dataclass(frozen=True)
class Change:
    """A text in a file of the stack that a variant replaces."""

    file: str  # relative to the project's folder
    old: str
    new: str

    def apply(self, text: str) -> str:
        """The text with the change. Raises StackError unless `old` occurs exactly once."""
        if text.count(self.old) != 1:
            raise StackError(
                f"The benchmark cannot change {self.file}.",
                f"This text must occur in it exactly once: {self.old.strip()}",
                "update the change in bench/configurations.py",
            )
        return text.replace(self.old, self.new)


@dataclass
class Configuration:
    """Services of a Compose project. The first one receives the requests, on port 8080.

    server: the WSGI server; configurations with the same one receive the same load when latency is measured.
    """

    name: str
    title: str
    kind: str
    services: tuple[str, ...]
    files: tuple[str, ...]
    env: Mapping[str, str]
    workloads: frozenset[str] | None = None  # names; None: all
    server: str = ""
    changes: tuple[Change, ...] = ()
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
        """Run `docker compose` for this configuration. Raises StackError on a non-zero status."""
        files = [*self.files, *([str(self.override())] if self.changes else [])]
        # COMPOSE_ENV_FILES: the operator's .env may name a database that the benchmark must not touch.
        env = os.environ | {"COMPOSE_ENV_FILES": "/dev/null"} | self.env
        options = [part for file in files for part in ("--file", file)]
        command = ["docker", "compose", "--project-name", self.project, *options, *args]
        done = subprocess.run(command, cwd=ROOT, env=env, text=True, capture_output=True)
        if done.returncode:
            raise self._error(f"docker compose {args[0]} exited with {done.returncode}", done.stderr[-1000:])
        return done.stdout

    def override(self) -> Path:
        """Write the changed files, and a Compose file that mounts them over those of the images."""
        folder = state_folder() / "bench" / self.name
        texts: dict[str, str] = {}
        for change in self.changes:
            texts[change.file] = change.apply(texts.get(change.file) or (ROOT / change.file).read_text())
        mounts = defaultdict(list)
        for file, text in texts.items():
            copy = folder / file
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_text(text)
            copy.chmod((ROOT / file).stat().st_mode)
            mounts["nginx" if file.startswith("nginx/") else "web"].append(f"{copy}:/srv/{file}:ro")
        override = folder / "compose.json"
        override.write_text(
            json.dumps({"services": {service: {"volumes": files} for service, files in mounts.items()}})
        )
        return override

    def up(self) -> None:
        """Start the containers and look up the address that receives the requests. Does not wait for a response."""
        self.compose("up", "--detach", "--no-build", *self.services)
        self.containers = [self.compose("ps", "--all", "--quiet", service).strip() for service in self.services]
        network = "{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}"
        address = docker("inspect", "--format", network, self.containers[0]).stdout.split()
        if not address:
            raise self._error("the container exited right after its start", self._logs())
        self.url = f"http://{address[0]}:8080"

    def await_response(self, path: str) -> None:
        """Wait for the first 200. After START_TIMEOUT, raise StackError with the containers' logs."""
        deadline, last_error = time.monotonic() + START_TIMEOUT, ""
        while time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(self.url + path, timeout=5):
                    return
            except OSError as error:
                last_error = str(error)
            time.sleep(0.05)
        raise self._error(f"no 200 at {path} within {START_TIMEOUT} s, but {last_error}", self._logs())

    def _logs(self) -> str:
        logs = [docker("logs", "--tail", "15", container) for container in self.containers]
        return "\n".join(log.stdout + log.stderr for log in logs)

    def _error(self, reason: str, output: str) -> StackError:
        fix = "correct what the output names, or measure others: ./stack bench --only NAME"
        return StackError(f"The configuration {self.name} does not run: {reason}.", output, fix)

    def down(self) -> None:
        """Remove the containers and volumes."""
        self.compose("down", "--volumes", "--timeout", "1", "--remove-orphans")
