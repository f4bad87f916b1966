"""Start a real stack for a test, in its own Compose project and on its own port."""

import os
import secrets
import subprocess
from pathlib import Path

from tests.smoke.account import Account
from tests.smoke.client import POSTS, Site
from tests.support.ports import free_port

ROOT = Path(__file__).resolve().parents[2]
UP_WITHIN = 120  # seconds; a stack starts in about 4 s, but a busy machine takes longer
# For rollouts in tests. Default: 4 s each, which reliability/test_bad_releases.py uses, and every test with --long.
SHORT_ROLLOUT = {"SMOKE_CHECK_DURATION": "1", "WATCH_DURATION": "1"}

running: list["Stack"] = []


class Stack:
    """A stack. `files` are Compose files in tests/live that override the project's own; `env` holds the settings."""

    def __init__(self, *files: str, **env: str):
        self.project = f"tripod-test-{secrets.token_hex(4)}"  # a process id is not unique: each container counts from 1
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._files = ["docker-compose.yml", *(f"tests/live/{file}" for file in ("networks.yml", *files))]
        # CLIENT_REQUESTS: all load of a test comes from one address.
        own = {"TEST_SUBNET": _random_subnet(), "TEST_SUBNET_IPV6": f"fd00:{secrets.token_hex(2)}"}
        self._env = own | {"CLIENT_REQUESTS": "0"} | env

    def compose(self, *args: str, check: bool = True, **env: str) -> subprocess.CompletedProcess[str]:
        """Run `docker compose` for this project; `env` holds further variables for this call."""
        files = [part for file in self._files for part in ("--file", file)]
        # COMPOSE_ENV_FILES: the tests must not read the developer's own .env.
        environ = os.environ | {"HTTP_PORT": str(self.port), "COMPOSE_ENV_FILES": "/dev/null"} | self._env | env
        done = subprocess.run(
            ["docker", "compose", "--project-name", self.project, *files, *args],
            cwd=ROOT,
            env=environ,
            text=True,
            capture_output=True,
            timeout=UP_WITHIN * 2,
        )
        if check and done.returncode:
            raise AssertionError(
                f"docker compose {' '.join(args)} exited with status {done.returncode}:\n{done.stderr}"
            )
        return done

    def up(self, **env: str) -> None:
        """Start or update the stack and wait until every service is healthy. `env` is kept for later calls."""
        self._env |= env
        if self not in running:
            running.append(self)
        self.compose("up", "--detach", "--no-build", "--wait", "--wait-timeout", str(UP_WITHIN))

    def container(self, service: str) -> str:
        return self.compose("ps", "--all", "--quiet", service).stdout.strip()

    def inspect(self, service: str, template: str) -> str:
        """Return a field of `docker inspect`, for example {{.State.ExitCode}}."""
        return docker("inspect", "--format", template, self.container(service)).stdout.strip()

    def logs(self, *services: str) -> str:
        done = self.compose("logs", "--no-color", "--tail", "60", *services, check=False)
        return done.stdout + done.stderr

    def down(self) -> None:
        self.compose("--profile", "*", "down", "--volumes", "--timeout", "5", "--remove-orphans", check=False)
        if self in running:
            running.remove(self)


def _random_subnet() -> str:
    """The first three numbers of a private address range (RFC 1918) that no other test stack is likely to use."""
    return f"10.{secrets.randbelow(56) + 200}.{secrets.randbelow(256)}"


class StackCommand:
    """The ./stack command with its own project and port; `env` holds the settings."""

    def __init__(self, project: str, port: int, **env: str):
        self.project, self.port, self.env = project, port, SHORT_ROLLOUT | env
        self.url = f"http://127.0.0.1:{port}"

    def __call__(self, *args: str, **env: str) -> subprocess.CompletedProcess[str]:
        isolation = {
            "COMPOSE_PROJECT_NAME": self.project,
            "HTTP_PORT": str(self.port),
            "COMPOSE_ENV_FILES": "/dev/null",
        }
        return subprocess.run(
            [f"{ROOT}/stack", *args],
            env=os.environ | isolation | self.env | env,
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
    """Run `docker run --rm` in a container that belongs to no Compose project.

    Compose labels the images that it builds with the project's name, and containers inherit the label. Without an empty
    label, the container would count as part of that project, which may be the stack of a test that runs in parallel.
    """
    return docker("run", "--rm", "--label", "com.docker.compose.project=", *args, check=check)


def check(url: str, server: str) -> None:
    """Check that this server answers, that a new user can write a post, and that a style sheet of the page is served.

    The smoke tests check more and take about 10 s. They run once for each server and each target: see `smoke`.
    """
    site = Site(url)
    assert site.get("/healthz").json()["wsgi_server"] == server
    program = Account.register(url).program
    post = program.request("POST", POSTS, 201, json={"body": f"written with {server}"}).json()
    assert program.get(f"{POSTS}/{post['id']}").json() == post
    assert site.get(site.page().style_sheets[0]).headers["Content-Type"].startswith("text/css")


def smoke(url: str, *args: str) -> subprocess.CompletedProcess[str]:
    """Run the smoke tests against a URL, as an operator does."""
    return subprocess.run(["pytest", "tests/smoke", "--base-url", url, *args], cwd=ROOT, text=True, capture_output=True)
