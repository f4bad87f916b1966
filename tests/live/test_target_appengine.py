"""App Engine: the entrypoint of app.yaml, run unchanged with the platform's environment."""

import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

import pytest
import requests
import yaml

from tests.live.stack import ROOT, check, smoke
from tests.support.ports import free_port
from tests.support.repository import tracked

APP = yaml.safe_load((ROOT / "app.yaml").read_text())
UPLOADED = ("app", "deploy", "static", ".appengine", "requirements.txt")
# A file system that is read-only except for /tmp, for a user without privileges.
INSTANCE = """mount -o remount,bind,ro / && mount -t tmpfs -o mode=1777 tmpfs /tmp && cd "$1" && shift &&
exec setpriv --reuid=nobody --regid=nogroup --clear-groups --no-new-privs -- sh -c "$1" """


@pytest.fixture(scope="module")
def checkout():
    """A copy of the repository, in which `./stack appengine` has prepared the upload."""
    with tempfile.TemporaryDirectory(prefix="checkout-") as name:
        folder = Path(name)
        for path in tracked():
            target = folder / path.relative_to(ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
        (folder / ".appengine").mkdir()
        (folder / ".appengine/database_url").write_text("sqlite:////tmp/app.db")
        env = os.environ | {"TRIPOD_VENV": "/opt/venv"}  # has the packages; making an environment takes half a minute
        done = subprocess.run(["python3", "stack", "appengine"], cwd=folder, env=env, text=True, capture_output=True)
        assert done.returncode == 0, done.stdout + done.stderr
        yield folder


@pytest.fixture(scope="module")
def workspace(checkout):
    """The uploaded files, without executable bits and readable for the platform's user."""
    with tempfile.TemporaryDirectory(prefix="workspace-", dir="/opt") as name:
        folder = Path(name)
        folder.chmod(0o755)
        for path in sorted(checkout.rglob("*")):
            if path.is_file() and path.relative_to(checkout).parts[0] in UPLOADED:
                target = folder / path.relative_to(checkout)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, target)
        yield folder


class Instance:
    """An App Engine instance. SQLite is in its own /tmp, so the migrations run in the instance too."""

    def __init__(self, folder: Path, **env: str):
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        platform = {
            "PORT": str(port),
            "GAE_ENV": "standard",
            "GAE_APPLICATION": "s~tripod",
            "GAE_INSTANCE": "0a1b2c",
            "GAE_RUNTIME": APP["runtime"],
            "GAE_SERVICE": "default",
            "GAE_MEMORY_MB": "384",
            "HOME": "/root",
            "PATH": os.environ["PATH"],
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        commands = f"python3 deploy/release && exec {APP['entrypoint']}"
        self.log = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            ["unshare", "--mount", "sh", "-euc", INSTANCE, "sh", str(folder), commands],
            env=platform | APP["env_variables"] | env,
            stdout=self.log,
            stderr=self.log,
        )

    def wait(self) -> None:
        """Wait until the instance answers. Fail if it has exited."""
        while self.process.poll() is None:
            try:
                return requests.get(f"{self.url}/readyz", timeout=5).raise_for_status()
            except requests.RequestException:
                continue
        raise AssertionError(self.said())

    def said(self) -> str:
        self.log.seek(0)
        return self.log.read().decode()


@pytest.fixture
def make_instance(workspace):
    """Return a function that starts instances. They are stopped after the test."""
    made = []

    def make(**env: str) -> Instance:
        made.append(Instance(workspace, **env))
        made[-1].wait()
        return made[-1]

    yield make
    for instance in made:
        instance.process.kill()
        instance.process.wait()
        instance.log.close()


@pytest.mark.parametrize("server", ["gunicorn", "uwsgi"])
def test_entrypoint(make_instance, server):
    """The entrypoint serves the app with only /tmp writable, and after SIGTERM it exits with status 0."""
    instance = make_instance(WSGI_SERVER=server)
    check(instance.url, server)
    instance.process.send_signal(signal.SIGTERM)
    assert instance.process.wait(timeout=20) == 0
    assert "Read-only" not in instance.said()


def test_smoke(make_instance):
    """The smoke tests pass on an instance."""
    instance = make_instance()
    done = smoke(instance.url, "--expect-server", "gunicorn")
    assert done.returncode == 0, done.stdout + instance.said()


def test_only_tmp_is_writable(workspace):
    """The simulated instance works: neither the app's folder nor /var/tmp is writable."""
    done = subprocess.run(
        [
            "unshare",
            "--mount",
            "sh",
            "-euc",
            INSTANCE,
            "sh",
            str(workspace),
            "touch x; touch /var/tmp/x; touch /tmp/x && echo /tmp",
        ],
        text=True,
        capture_output=True,
    )
    assert done.stdout == "/tmp\n" and done.stderr.count("touch: cannot touch") == 2


def test_missing_secret_is_refused(workspace):
    """Without the database URL, nothing is started, and the error names the missing file."""
    env = APP["env_variables"] | {"PATH": os.environ["PATH"], "PORT": "1", "DATABASE_URL_FILE": ".appengine/none"}
    done = subprocess.run(APP["entrypoint"].split(), cwd=workspace, env=env, text=True, capture_output=True)
    assert done.returncode == 78 and ".appengine/none cannot be used" in done.stderr
