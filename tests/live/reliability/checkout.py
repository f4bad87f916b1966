"""A copy of the project, as an operator has it on a host: with a custom app and a .env."""

import os
import secrets
import shutil
import signal
import subprocess
from pathlib import Path

import requests

from tests.live.reliability.clients import Clients
from tests.live.stack import ROOT, SHORT_ROLLOUT, docker, image_name, running
from tests.support.ports import free_port

LEFT_OUT = shutil.ignore_patterns(".git", ".stack", "__pycache__", ".env")
APP = "tests/live/reliability/app"
TIMEOUT = 300  # seconds for each command
SETTINGS = {
    "APP_DIR": APP,
    "WSGI_APP": "ledger:application",
    "READY_PATH": "/ready",
    "RELEASE_COMMAND": "python3 migrate.py",
    "WSGI_SERVER": "gunicorn",
    "WEB_CONCURRENCY": "2",
    "WEB_THREADS": "4",
    "CLIENT_REQUESTS": "0",  # all load comes from one address
}


class Checkout:
    """A checkout with its own image names and Compose project. `down` removes all of it.

    short: run the smoke check and the watch of a rollout for a shorter time than by default. settings: in its .env.
    """

    def __init__(self, short: bool, **settings: str):
        self.project = f"tripod-test-{secrets.token_hex(4)}"
        self.folder = (
            ROOT / ".stack" / self.project
        )  # inside ROOT, because the engine outside this container must see it too
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._env = {name: value for name, value in os.environ.items() if name != "IMAGE_TAG"}
        shutil.copytree(ROOT, self.folder, ignore=LEFT_OUT)
        names = {"COMPOSE_PROJECT_NAME": self.project, "IMAGE_TAG": self.project, "HTTP_PORT": str(self.port)}
        settings = names | SETTINGS | (SHORT_ROLLOUT if short else {}) | settings
        (self.folder / ".env").write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
        docker("tag", image_name("nginx"), f"tripod-nginx:{self.project}")

    def run(self, *command: str, **env: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the folder; `stdout` contains its whole output."""
        return subprocess.run(
            command,
            cwd=self.folder,
            env=self._env | env,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=TIMEOUT,
        )

    def stack(self, *words: str, **env: str) -> str:
        """Run ./stack, which must succeed, and return its output."""
        done = self.run("./stack", *words, **env)
        assert done.returncode == 0, done.stdout
        return done.stdout

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Start ./stack in the background, with its output in a pipe."""
        return subprocess.Popen(
            ["./stack", *words],
            cwd=self.folder,
            env=self._env,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def up(self) -> None:
        if self not in running:
            running.append(self)
        built = self.run("docker", "compose", "build", "--quiet", "web", RELEASE="first")
        assert built.returncode == 0, built.stdout
        self.plain_up()

    def plain_up(self) -> None:
        """Run `docker compose up` without ./stack."""
        done = self.run("docker", "compose", "up", "--detach", "--no-build", "--wait")
        assert done.returncode == 0, done.stdout

    def webs(self) -> list[str]:
        """Return the ids of all web containers, running or not."""
        return self.run("docker", "compose", "ps", "--all", "--quiet", "web").stdout.split()

    def address(self) -> str:
        """Return Nginx's address on its network, because the published port cannot take the load (see load.py)."""
        template = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
        nginx = self.run("docker", "compose", "ps", "--quiet", "nginx").stdout.strip()
        return docker("inspect", "--format", template, nginx).stdout.strip()

    def write(self, file: str, old: str, new: str) -> None:
        """Replace text in a file of the app."""
        path = self.folder / APP / file
        assert old in path.read_text(), f"{file} has no {old!r}"
        path.write_text(path.read_text().replace(old, new))

    def ledger(self) -> list[str]:
        """Return the lines that the app has written."""
        shown = docker("exec", self.webs()[-1], "cat", "/var/lib/tripod/ledger", timeout=120)
        return shown.stdout.splitlines()

    def logs(self) -> str:
        return self.run("docker", "compose", "logs", "--no-color", "--tail", "60").stdout

    def down(self) -> None:
        self.run("docker", "compose", "down", "--volumes", "--timeout", "5", "--remove-orphans")
        docker("rmi", "--force", f"tripod-web:{self.project}", f"tripod-nginx:{self.project}", check=False)
        shutil.rmtree(self.folder)
        if self in running:
            running.remove(self)


def settings_of(folder: Path) -> dict[str, str]:
    """Return the settings in the .env of a checkout."""
    return dict(line.split("=", 1) for line in (folder / ".env").read_text().splitlines())


def healthz(checkout) -> dict:
    return requests.get(f"{checkout.url}/healthz", timeout=10).json()


def assert_nothing_to_change(checkout) -> None:
    """Assert that there is a single web container and `docker compose up` leaves it as it is."""
    before = checkout.webs()
    assert len(before) == 1
    checkout.plain_up()
    assert checkout.webs() == before


def kill_at(checkout, step: str, signal_to_send: signal.Signals, *words: str) -> str:
    """Start ./stack, send it a signal when it prints the step, and return its output."""
    said = ""
    with checkout.start(*words) as process:
        for line in process.stdout:
            said += line
            if line.startswith(f"- {step} "):
                process.send_signal(signal_to_send)
                step = "no further step"
    assert process.returncode != 0, f"./stack exited before the signal:\n{said}"
    return said


def judge(record, section: str, what: str, load: Clients, checkout, note: str = "") -> None:
    """Record the row, then fail if any request failed or any POST was lost or doubled."""
    wrong = load.wrong_in_ledger(checkout.ledger())
    parts = ", ".join(f"{count:,} {action.replace('_', ' ')}" for action, count in sorted(load.counts.items()))
    remark = f"{note}{parts}; slowest page {load.slowest:.1f} s; {len(load.acknowledged):,} POSTs recorded exactly once"
    record(section, what, load.total, len(load.failures) + len(wrong), remark)
    assert load.failures == []
    assert wrong == []
