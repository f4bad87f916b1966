"""The stack as plain processes: ./stack on a host without Docker."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
import requests

from cli import native
from tests.live.in_flight import in_background
from tests.live.stack import ROOT, check, smoke
from tests.smoke.account import Account
from tests.smoke.client import POSTS
from tests.support.ports import free_port
from tests.support.repository import tracked

IN_FLIGHT = "at work on /sleep/2"
pytestmark = pytest.mark.needs("nginx")  # and no Docker engine


class Host:
    """A copy of the repository on a host without Docker, with its own port."""

    def __init__(self, folder: Path):
        self.folder, self.port = folder / "tripod", free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        for path in tracked():
            target = self.folder / path.relative_to(ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
        shutil.copy(ROOT / "tests/live/probe.py", self.folder)
        self.env = {
            "PATH": self._path_without_docker(folder / "bin"),
            "HTTP_PORT": str(self.port),
            "TRIPOD_VENV": sys.prefix,  # the packages are here already; making an environment takes half a minute
            "LANG": "C.UTF-8",
        }

    @staticmethod
    def _path_without_docker(folder: Path) -> str:
        """Fill a folder with links to all programs except docker and apt, which could install it."""
        folder.mkdir()
        for directory in ("/usr/bin", "/usr/sbin"):
            for program in Path(directory).iterdir():
                if not program.name.startswith(("docker", "apt")) and not (folder / program.name).exists():
                    (folder / program.name).symlink_to(program)
        return str(folder)

    def stack(self, *args: str, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["/usr/bin/python3", self.folder / "stack", *args],
            env=self.env | env,
            cwd="/",
            text=True,
            capture_output=True,
            timeout=100,
        )

    def processes(self) -> dict[str, str]:
        """Map process ids to user id and command line, for all processes whose working directory is this folder."""
        found = {}
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if (folder / "cwd").readlink() == self.folder:
                    command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                    found[folder.name] = f"{folder.stat().st_uid} {command}"
            except OSError:  # the process has just exited
                continue
        return found

    def server(self) -> str | None:
        """Return the name of the server that answers, or None if the stack is not running."""
        try:
            return requests.get(f"{self.url}/healthz", timeout=10).json()["wsgi_server"]
        except requests.ConnectionError:
            return None

    def log(self) -> str:
        return (self.folder / native.LOG.relative_to(ROOT)).read_text()


@pytest.fixture(scope="module")
def host():
    # Not pytest's tmp_path: the processes' user cannot open it, and it is too long for a socket path.
    with tempfile.TemporaryDirectory(prefix="native-") as folder:
        os.chmod(folder, 0o755)
        host = Host(Path(folder))
        yield host
        host.stack("down")


@pytest.fixture
def stopped(host):
    """A host on which the stack is not running."""
    if host.processes():
        assert host.stack("down").returncode == 0
    return host


@pytest.fixture
def running(host):
    """A host on which the sample app runs with Gunicorn."""
    if host.server() != "gunicorn":
        done = host.stack("up", "--native")
        assert done.returncode == 0, done.stdout + done.stderr
    return host


@pytest.mark.needs("no traces of an engine")  # else `./stack up` refuses to start a second database
def test_up_falls_back(stopped):
    """If no Docker engine can be installed, `./stack up` starts plain processes and says so."""
    host = stopped
    done = host.stack("up")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "No Docker engine can be installed" in done.stdout
    assert f"{host.url}   answered by gunicorn" in done.stdout


def test_smoke(running):
    """The smoke tests pass on plain processes that `./stack up --native` starts, or finds running."""
    done = smoke(running.url, "--expect-server", "gunicorn")
    assert done.returncode == 0, done.stdout + running.log()


def test_nothing_runs_as_root(running):
    """No process of the stack runs as root, even if root has started it."""
    lines = running.processes().values()
    assert any("nginx" in line for line in lines) and any("gunicorn" in line for line in lines)
    assert [line for line in lines if line.startswith("0 ")] == []


def test_second_up_changes_nothing(running):
    """A second `./stack up` leaves the processes as they are."""
    before = running.processes()
    assert running.stack("up").returncode == 0
    assert running.processes() == before


def test_status_and_logs(running):
    """`./stack status` shows the server that answers, and `./stack logs` the processes' JSON lines."""
    assert f"{running.url}   answered by gunicorn" in running.stack("status").stdout
    assert '"logger":"nginx.access"' in running.stack("logs").stdout


@pytest.mark.needs("uwsgi")
def test_switch(running):
    """`./stack up --server uwsgi` switches the server, and existing posts are kept."""
    program = Account.register(running.url).program
    post = program.request("POST", POSTS, 201, json={"body": "written before"}).json()
    done = running.stack("up", "--server", "uwsgi")
    assert done.returncode == 0, done.stdout + done.stderr
    assert program.get(f"{POSTS}/{post['id']}").json() == post
    check(running.url, "uwsgi")


def test_backup(running):
    """`./stack backup` and `./stack restore` work without containers and restore key and database."""
    host = running
    key = host.folder / ".stack/native/state/secret_key"
    before = key.read_text()
    file = host.folder / "backup.zip"
    saved = host.stack("backup", str(file))
    assert saved.returncode == 0, saved.stdout + saved.stderr
    key.write_text("another key, of another time")
    restored = host.stack("restore", str(file), "--yes")
    assert restored.returncode == 0, restored.stdout + restored.stderr
    assert key.read_text() == before
    assert requests.get(f"{host.url}/readyz", timeout=10).status_code == 200


@pytest.mark.parametrize("server", [pytest.param(name, marks=pytest.mark.needs(name)) for name in native.SERVERS])
def test_stop_finishes_in_flight_requests(host, server):
    """`./stack down` lets a request of 2 s finish and leaves no process."""
    probe = {"WSGI_APP": "probe:application", "READY_PATH": "/ready", "WEB_CONCURRENCY": "1"}
    done = host.stack("up", "--native", "--server", server, **probe)
    assert done.returncode == 0, done.stdout + done.stderr
    requests_before = host.log().count(IN_FLIGHT)
    answer = in_background(f"{host.url}/sleep/2")
    deadline = time.monotonic() + 20
    while host.log().count(IN_FLIGHT) == requests_before:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert host.stack("down").returncode == 0
    assert answer().status_code == 200
    assert host.processes() == {}


@pytest.mark.parametrize(
    "args, env, status, expected",
    [
        (["--server", "mod_wsgi"], {}, 78, ["mod_wsgi needs Docker", "gunicorn, uwsgi"]),
        ([], {"APP_DIR": "../shop"}, 78, ["APP_DIR needs Docker"]),
        ([], {"WEB_THREADS": "a few"}, 78, ["WEB_THREADS", "not a whole number"]),
        ([], {"WSGI_APP": "nothing.here:app"}, 1, ["did not start"]),
    ],
)
def test_wrong_setting_is_refused(stopped, args, env, status, expected):
    """Options that need Docker and wrong settings are refused with the fix, and no process stays."""
    host = stopped
    done = host.stack("up", "--native", *args, **env)
    assert done.returncode == status, done.stdout + done.stderr
    assert [word for word in expected if word not in done.stderr] == []
    assert host.processes() == {}
