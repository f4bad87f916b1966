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

from tests.live.stack import ROOT, smoke
from tests.support.ports import free_port
from tests.support.repository import tracked

APP = yaml.safe_load((ROOT / "app.yaml").read_text())
UPLOADED = ("app", "deploy")
# A file system that is writable only in /tmp, for an unprivileged user.
INSTANCE = """mount -o remount,bind,ro / && mount -t tmpfs -o mode=1777 tmpfs /tmp && cd "$1" && shift &&
exec setpriv --reuid=nobody --regid=nogroup --clear-groups --no-new-privs -- sh -c "$1" """


@pytest.fixture(scope="module")
def workspace():
    """The result of upload and build: the app's files without executable bits, static files, and the two secrets."""
    with tempfile.TemporaryDirectory(prefix="workspace-", dir="/opt") as name:
        folder = Path(name)
        folder.chmod(0o755)
        for path in tracked():
            if path.relative_to(ROOT).parts[0] in UPLOADED:
                target = folder / path.relative_to(ROOT)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, target)
        (folder / ".appengine").mkdir()
        (folder / ".appengine/secret_key").write_text("a" * 64)
        (folder / ".appengine/database_url").write_text("sqlite:////tmp/app.db")
        for command in (
            ["flask", "--app", "app.wsgi", "assets", "source"],
            ["python3", "-m", "deploy.assets", "source", "static"],
        ):
            subprocess.run(command, cwd=folder, check=True)
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
    """The entrypoint serves the app with only /tmp writable; the smoke tests pass, and after SIGTERM it exits with
    status 0.
    """
    instance = make_instance(WSGI_SERVER=server)
    done = smoke(instance.url, "--expect-server", server)
    assert done.returncode == 0, done.stdout + instance.said()
    instance.process.send_signal(signal.SIGTERM)
    assert instance.process.wait(timeout=20) == 0
    assert "Read-only" not in instance.said()


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
