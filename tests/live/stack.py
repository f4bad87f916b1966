"""A real stack for a test: a Compose project of its own, on a port of its own."""

import os
import secrets
import subprocess
from pathlib import Path

from tests.support.ports import free_port

ROOT = Path(__file__).resolve().parents[2]
UP_WITHIN = 120  # seconds; a stack is up in about four, a busy machine takes longer

running: list["Stack"] = []


class Stack:
    """`files` are Compose files beside the tests, laid over the project's own; `env` is what a user would set."""

    def __init__(self, *files: str, **env: str):
        self.project = f"tripod-test-{secrets.token_hex(4)}"  # no process id: each container begins with the same
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._files = ["docker-compose.yml", *(f"tests/live/{file}" for file in files)]
        self._env = env

    def compose(self, *args: str, check: bool = True, **env: str) -> subprocess.CompletedProcess[str]:
        """`docker compose` in this project, with more environment variables for this call."""
        files = [part for file in self._files for part in ("--file", file)]
        # COMPOSE_ENV_FILES: a developer's own .env must not reach the tests.
        given = os.environ | {"HTTP_PORT": str(self.port), "COMPOSE_ENV_FILES": "/dev/null"} | self._env | env
        done = subprocess.run(
            ["docker", "compose", "--project-name", self.project, *files, *args],
            cwd=ROOT,
            env=given,
            text=True,
            capture_output=True,
            timeout=UP_WITHIN * 2,
        )
        if check and done.returncode:
            raise AssertionError(f"docker compose {' '.join(args)} ended with {done.returncode}:\n{done.stderr}")
        return done

    def up(self, **env: str) -> None:
        """Starts or changes the stack; returns when every service is healthy. `env` holds from now on."""
        self._env |= env
        if self not in running:
            running.append(self)
        self.compose("up", "--detach", "--no-build", "--wait", "--wait-timeout", str(UP_WITHIN))

    def container(self, service: str) -> str:
        return self.compose("ps", "--all", "--quiet", service).stdout.strip()

    def inspect(self, service: str, what: str) -> str:
        """A field of `docker inspect`, such as {{.State.ExitCode}}."""
        return docker("inspect", "--format", what, self.container(service)).stdout.strip()

    def logs(self, *services: str) -> str:
        done = self.compose("logs", "--no-color", "--tail", "60", *services, check=False)
        return done.stdout + done.stderr

    def down(self) -> None:
        self.compose("--profile", "*", "down", "--volumes", "--timeout", "5", "--remove-orphans", check=False)
        if self in running:
            running.remove(self)


class Door:
    """./stack with a project and a port of its own; `env` is what a user would set."""

    def __init__(self, project: str, port: int, **env: str):
        self.project, self.port, self.env = project, port, env
        self.url = f"http://127.0.0.1:{port}"

    def __call__(self, *args: str, **env: str) -> subprocess.CompletedProcess[str]:
        own = {"COMPOSE_PROJECT_NAME": self.project, "HTTP_PORT": str(self.port), "COMPOSE_ENV_FILES": "/dev/null"}
        return subprocess.run(
            [f"{ROOT}/stack", *args],
            env=os.environ | own | self.env | env,
            cwd="/",
            text=True,
            capture_output=True,
            timeout=300,
        )

    def containers(self) -> list[str]:
        running = docker("ps", "--quiet", "--filter", f"label=com.docker.compose.project={self.project}")
        return sorted(running.stdout.split())


def image_name(service: str) -> str:
    return f"tripod-{service}:{os.environ.get('IMAGE_TAG') or 'latest'}"


def docker(*args: str, check: bool = True, timeout: float = 60) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["docker", *args], text=True, capture_output=True, check=check, timeout=timeout)


def run_image(*args: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """`docker run --rm` of an image, in a container that belongs to no project.

    Without the label it would belong to the project that has built the image, perhaps the stack of a test that runs at
    the same time: Compose labels what it builds, and containers inherit that.
    """
    return docker("run", "--rm", "--label", "com.docker.compose.project=", *args, check=check)


def smoke(url: str, *args: str) -> subprocess.CompletedProcess[str]:
    """The smoke tests, as a user calls them."""
    return subprocess.run(["pytest", "tests/smoke", "--base-url", url, *args], cwd=ROOT, text=True, capture_output=True)
