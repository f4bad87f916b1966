"""The rehearsal of `git push heroku`: how the app runs on the platform, and which pushes the platform rejects."""

import contextlib
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from cli.heroku import addon, dyno, memory, push
from cli.heroku.rehearsal import CACHE
from deploy.errors import StackError
from deploy.settings import ROOT
from tests.live.stack import check, smoke
from tests.smoke.account import Account
from tests.smoke.client import POSTS

SERVERS = ("gunicorn", "uwsgi")
PROBE = {"WSGI_APP": "tests.live.probe:application"}


def git(folder: Path, *args: str) -> str:
    """Run git in a folder, regardless of the folder's owner, and return its output."""
    options = ["-c", "user.name=test", "-c", "user.email=test@example.com", "-c", "safe.directory=*"]
    return subprocess.run(["git", *options, "-C", folder, *args], check=True, text=True, capture_output=True).stdout


@pytest.fixture(scope="module")
def repository(tmp_path_factory) -> Path:
    """A repository with one commit that contains the files of this working tree, committed or not."""
    folder = tmp_path_factory.mktemp("repository")
    for name in git(ROOT, "ls-files", "--cached", "--others", "--exclude-standard").splitlines():
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    git(folder, "init", "--quiet")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "all")
    return folder


@pytest.fixture(scope="module")
def config() -> dict[str, str]:
    """The app's config vars, with a real PostgreSQL whose URL has Heroku's form."""
    with addon.postgres() as database:
        yield {"DATABASE_URL": database, "SECRET_KEY": secrets.token_hex(32)}


@dataclass
class Push:
    """The result of a push: git's exit status, the remote's output, and the slug."""

    status: int
    said: str
    slug: Path


def push_head(repository: Path, work: Path, config: dict[str, str], capfd) -> Push:
    """Push HEAD to the rehearsal."""
    status = push.push_commit(repository, "HEAD", work, config, CACHE)
    said = "".join(line.removeprefix("remote: ").rstrip() + "\n" for line in capfd.readouterr().err.splitlines())
    return Push(status, said, work / "slug")


@pytest.fixture(scope="module")
def slug(repository, config, tmp_path_factory) -> Path:
    """The slug of an accepted push."""
    work = tmp_path_factory.mktemp("push")
    assert push.push_commit(repository, "HEAD", work, config | {"WSGI_SERVER": "gunicorn"}, CACHE) == 0
    return work / "slug"


@contextlib.contextmanager
def web(slug: Path, config: dict[str, str], server: str, command: str = "deploy/start"):
    """Start a web dyno and wait until it listens."""
    with dyno.start(slug, "web.1", command, config | {"WSGI_SERVER": server}) as running:
        running.await_boot()
        yield running


def run_one_off(slug: Path, command: str, config: dict[str, str]) -> tuple[int, str]:
    """Run a one-off dyno and return its exit status and output."""
    with dyno.start(slug, "run.1", command, config) as one_off:
        return one_off.wait(), one_off.log()


# --- the accepted push and its dynos ----------------------------------------------------------------------------------


def test_smoke(slug, config):
    """The smoke tests pass on a web dyno."""
    with web(slug, config, "gunicorn") as running:
        done = smoke(running.url, "--expect-server", "gunicorn")
        assert done.returncode == 0, done.stdout + running.tail()


def test_posts_survive_dynos_and_servers(slug, config):
    """A post made on one dyno exists on the next dyno, whose server another value of WSGI_SERVER has switched."""
    with web(slug, config, "gunicorn") as running:
        program = Account.register(running.url).program
        post = program.request("POST", POSTS, 201, json={"body": secrets.token_hex()}).json()
        assert running.stop()[0] == 0
    with web(slug, config, "uwsgi") as running:
        assert requests.get(f"{running.url}{POSTS}/{post['id']}", timeout=10).json() == post
        check(running.url, "uwsgi")
        assert running.stop()[0] == 0


@pytest.mark.parametrize("server", SERVERS)
def test_sigterm_to_every_process_loses_no_request(slug, config, server):
    """After SIGTERM to every process, twice, a request of 4 s finishes, and the dyno exits with status 0."""
    with web(slug, config | PROBE, server) as running:
        answers: list = []
        client = threading.Thread(target=lambda: answers.append(requests.get(f"{running.url}/sleep/4", timeout=20)))
        client.start()
        until(lambda: "at work on /sleep/4" in running.log())
        for process in running.processes():  # Heroku may send SIGTERM more than once
            os.kill(process, signal.SIGTERM)
        status, seconds = running.stop()
        client.join()
        assert answers and answers[0].status_code == 200, running.tail()
        assert status == 0, running.tail()
        assert seconds < 10


@pytest.mark.parametrize("server", SERVERS)
def test_sigterm_while_loading(slug, config, server):
    """SIGTERM to processes that are still loading the app ends the dyno with status 0; with uWSGI at once.

    Gunicorn may miss the signal while it starts a worker, and then waits for SHUTDOWN_GRACE (25 s).
    """
    (slug / "slow.py").write_text("import time\ntime.sleep(2)\nfrom tests.live.probe import application\n")
    with web(slug, config | {"WSGI_APP": "slow:application"}, server) as running:
        until(lambda: len(re.findall("(Booting worker|spawned uWSGI worker)", running.log())) == 2)
        status, seconds = running.stop()
        assert status == 0, running.tail()
        assert seconds < (dyno.EXIT if server == "gunicorn" else 10)


def until(is_true, seconds: float = 20) -> None:
    """Wait until the condition is true. Fail after some seconds."""
    deadline = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("server", SERVERS)
def test_only_the_router_is_trusted(slug, config, server):
    """Scheme and client address come from the router's headers; headers forged by the client are ignored."""
    forged = {"X-Forwarded-For": "203.0.113.66, 198.51.100.7", "X-Forwarded-Proto": "https", "X-Forwarded-Port": "443"}
    with web(slug, config | PROBE, server) as running:
        seen = requests.get(f"{running.url}/echo", headers=forged, timeout=10).json()
    assert (seen["wsgi.url_scheme"], seen["REMOTE_ADDR"]) == ("https", "198.51.100.7")


def test_environment_is_the_platforms(slug, config):
    """A dyno inherits no variable from this machine; REQUEST_TIMEOUT is below the router's 30 s, and RELEASE is set."""
    status, said = run_one_off(slug, "env", config)
    environ = dict(line.split("=", 1) for line in said.splitlines())
    platform = {
        "HOME",
        "PATH",
        "DYNO",
        "PS",
        "STACK",
        "LANG",
        "PYTHONPATH",
        "PYTHONUNBUFFERED",
        "LIBRARY_PATH",
        "LD_LIBRARY_PATH",
        "VIRTUAL_ENV",
        "PIPENV_SYSTEM",
        "PIPENV_VERBOSITY",
        "DYNO_RAM",
        "WEB_CONCURRENCY",
        "WEB_CONCURRENCY_SET_BY",
        "FORWARDED_ALLOW_IPS",
        "GUNICORN_CMD_ARGS",
    }
    bash = {"PWD", "SHLVL", "_", "OLDPWD"}
    assert status == 0 and set(environ) - bash == platform | set(config) | {"REQUEST_TIMEOUT", "RELEASE"}
    assert environ["REQUEST_TIMEOUT"] == "25" and len(environ["RELEASE"]) == 40
    assert run_one_off(slug, "echo $REQUEST_TIMEOUT", {"REQUEST_TIMEOUT": "7"}) == (0, "7\n")


def test_dyno_is_isolated(slug, config):
    """A dyno does not run as root, sees only its own processes, has no Apache, and loses its files when it ends."""
    command = "id -u; ls -d /proc/[0-9]* | wc -l; command -v apache2; touch new && ls new; ls /var/lib"
    user, processes, *rest = run_one_off(slug, command, config)[1].split()
    assert user == str(dyno.USER) and int(processes) < 8
    assert rest == ["new"] and not (slug / "new").exists()


def test_memory_is_limited(slug, config):
    """A process that allocates more than a dyno's 512 MB fails."""
    assert run_one_off(slug, f"python3 -c 'bytearray({memory.DYNO} + 2**27)'", config)[0] != 0


@pytest.mark.parametrize("missing", ["SECRET_KEY", "DATABASE_URL"])
def test_ephemeral_state_is_refused(slug, config, missing):
    """Without SECRET_KEY or a database, the release phase fails instead of using the ephemeral file system."""
    incomplete = {name: value for name, value in config.items() if name != missing}
    status, said = run_one_off(slug, "deploy/release", incomplete)
    assert status == 78 and f"set {missing}" in said


def test_mod_wsgi_is_refused(slug, config):
    """WSGI_SERVER=mod_wsgi fails the release phase with the error, its cause and the fix."""
    status, said = run_one_off(slug, "deploy/release", config | {"WSGI_SERVER": "mod_wsgi"})
    assert status == 78 and "mod_wsgi cannot run here" in said
    assert "Heroku, for example, has no Apache" in said and "set WSGI_SERVER=gunicorn or uwsgi" in said


def test_failing_web_process_is_reported(slug, config, monkeypatch):
    """A web process that exits at once (H10), never listens (R10) or ignores SIGTERM (R12) is reported by that code."""
    monkeypatch.setattr(dyno, "BOOT", 1)
    monkeypatch.setattr(dyno, "EXIT", 1)
    with dyno.start(slug, "web.1", "echo so sorry; exit 3", config) as running:
        with pytest.raises(StackError, match=r"(?s)status 3 \(H10\).*so sorry"):
            running.await_boot()
    with dyno.start(slug, "web.1", "trap '' TERM; echo deaf; while :; do sleep 1; done", config) as running:
        with pytest.raises(StackError, match="R10"):
            running.await_boot()
        with pytest.raises(StackError, match="R12"):
            running.stop()


# --- rejected pushes (checks of the files alone: tests/unit/cli/test_heroku_check.py) ---------------------------------


@pytest.fixture
def change(repository, tmp_path):
    """Return a function that makes a clone of the repository with one more commit."""

    def commit(**texts: str) -> Path:
        clone = tmp_path / "clone"
        git(tmp_path, "clone", "--quiet", str(repository), str(clone))
        for name, text in texts.items():
            (clone / name).write_text(text)
        git(clone, "add", "--all", "--force")
        git(clone, "commit", "--quiet", "--allow-empty", "--message", "change")
        return clone

    return commit


def rejected(repository: Path, tmp_path: Path, config, capfd) -> str:
    """Push to the rehearsal, which must reject the push, and return the remote's output."""
    work = tmp_path / "work"
    work.mkdir()
    result = push_head(repository, work, config, capfd)
    assert result.status != 0 and "[remote rejected]" in result.said and "Push rejected" in result.said, result.said
    return result.said


def test_two_package_managers_are_rejected(change, tmp_path, config, capfd):
    """A second package manager's file rejects the push, with Heroku's error and the fix."""
    said = rejected(change(**{"requirements.txt": "flask\n"}), tmp_path, config, capfd)
    assert "error: Multiple Python package manager files were found." in said and "git rm requirements.txt" in said


def test_stale_lock_is_rejected(change, tmp_path, config, capfd):
    """A Pipfile newer than its lock rejects the push, even if every package is locked."""
    text = (ROOT / "Pipfile").read_text()
    said = rejected(change(Pipfile=text.replace('flask = "~=3.1"', 'flask = "~=3.0"')), tmp_path, config, capfd)
    assert "Pipfile.lock is out of date" in said and "./stack lock" in said


def test_failing_hook_is_rejected(change, tmp_path, config, capfd):
    """A failing bin/pre_compile rejects the push before any package is installed."""
    said = rejected(change(**{"bin/pre_compile": "#!/bin/sh\necho no such luck\nexit 4\n"}), tmp_path, config, capfd)
    assert "no such luck" in said and "error: Failed to run the bin/pre_compile script." in said
    assert "Installing" not in said


def test_failing_release_phase_is_rejected(slug, change, tmp_path, config, capfd):
    """A failing release phase rejects the push."""
    said = rejected(change(), tmp_path, config | {"RELEASE_COMMAND": "echo half way; exit 9"}, capfd)
    assert "half way" in said and "Release command failed with exit status 9." in said


def test_interrupted_run_leaves_nothing(slug):
    """A rehearsal that is interrupted during its push exits with status 130 and leaves no process and no file."""
    before = leftovers()
    command = [sys.executable, "-m", "cli.heroku"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as run:
        for line in run.stdout:
            if "Installing dependencies" in line:
                run.send_signal(signal.SIGINT)
                break
        run.communicate(timeout=30)
    assert run.returncode == 130
    until(lambda: leftovers() <= before)


def leftovers() -> set[str]:
    """Return the files, cgroups and processes of rehearsals."""
    found = {str(path) for path in [*Path("/tmp").glob("tripod-*"), *memory.CGROUPS.glob("**/tripod-dyno-*")]}
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            words = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if "cli.heroku" in words or "/tmp/tripod-" in words:
                found.add(words)
    return found
