"""A copy of the project, as somebody has it on a host: with an app of their own, a .env, and ./stack."""

import os
import secrets
import shutil
import subprocess
from pathlib import Path

import requests

from tests.live.reliability.clients import Clients
from tests.live.stack import ROOT, docker, image_name, running
from tests.support.ports import free_port

LEFT_OUT = shutil.ignore_patterns(".git", ".stack", "__pycache__", ".env")
APP = "tests/live/reliability/app"
LONGEST = 300  # seconds for any one call
SETTINGS = {
    "APP_DIR": APP,
    "WSGI_APP": "ledger:application",
    "READY_PATH": "/ready",
    "RELEASE_COMMAND": "python3 migrate.py",
    "WSGI_SERVER": "gunicorn",
    "WEB_CONCURRENCY": "2",
    "WEB_THREADS": "4",
}


class Checkout:
    """Its images and containers have names of their own; `down` removes all of it."""

    def __init__(self):
        self.project = f"tripod-test-{secrets.token_hex(4)}"
        self.folder = ROOT / ".stack" / self.project  # the engine, outside of this container, has to see it too
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._env = {name: value for name, value in os.environ.items() if name != "IMAGE_TAG"}
        shutil.copytree(ROOT, self.folder, ignore=LEFT_OUT)
        names = {"COMPOSE_PROJECT_NAME": self.project, "IMAGE_TAG": self.project, "HTTP_PORT": str(self.port)}
        (self.folder / ".env").write_text("".join(f"{name}={value}\n" for name, value in (names | SETTINGS).items()))
        docker("tag", image_name("nginx"), f"tripod-nginx:{self.project}")

    def run(self, *command: str, **env: str) -> subprocess.CompletedProcess[str]:
        """A command in the folder, with its output in `stdout`."""
        return subprocess.run(
            command,
            cwd=self.folder,
            env=self._env | env,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=LONGEST,
        )

    def stack(self, *words: str, **env: str) -> str:
        """./stack, which must succeed; returns what it said."""
        done = self.run("./stack", *words, **env)
        assert done.returncode == 0, done.stdout
        return done.stdout

    def start(self, *words: str) -> subprocess.Popen[str]:
        """./stack in the background, its output in a pipe."""
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
        """`docker compose up`, as somebody types it who knows nothing of ./stack."""
        done = self.run("docker", "compose", "up", "--detach", "--no-build", "--wait")
        assert done.returncode == 0, done.stdout

    def webs(self) -> list[str]:
        """The ids of all web containers, running or not."""
        return self.run("docker", "compose", "ps", "--all", "--quiet", "web").stdout.split()

    def address(self) -> str:
        """Nginx's address on its own network: the published port's proxy runs out of ports under fresh connections."""
        template = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
        nginx = self.run("docker", "compose", "ps", "--quiet", "nginx").stdout.strip()
        return docker("inspect", "--format", template, nginx).stdout.strip()

    def write(self, file: str, old: str, new: str) -> None:
        """Edits a file of the app."""
        path = self.folder / APP / file
        assert old in path.read_text(), f"{file} has no {old!r}"
        path.write_text(path.read_text().replace(old, new))

    def ledger(self) -> list[str]:
        """The lines that the app has written."""
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
    """What the .env of a checkout says."""
    return dict(line.split("=", 1) for line in (folder / ".env").read_text().splitlines())


def healthz(checkout) -> dict:
    return requests.get(f"{checkout.url}/healthz", timeout=10).json()


def assert_nothing_to_change(checkout) -> None:
    """`docker compose up` leaves the one web container as it is."""
    before = checkout.webs()
    assert len(before) == 1
    checkout.plain_up()
    assert checkout.webs() == before


def judge(record, section: str, what: str, load: Clients, checkout, note: str = "") -> None:
    """Writes the row, then fails if anything was lost."""
    wrong = load.wrong_in_ledger(checkout.ledger())
    parts = ", ".join(f"{count:,} {action.replace('_', ' ')}" for action, count in sorted(load.counts.items()))
    remark = f"{note}{parts}; slowest page {load.slowest:.1f} s; {len(load.acknowledged):,} POSTs in the ledger once"
    record(section, what, load.total, len(load.failures) + len(wrong), remark)
    assert load.failures == []
    assert wrong == []
