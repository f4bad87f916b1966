"""The rehearsal of `git push heroku`: what this repository does on the platform, and what the platform refuses."""

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
from tests.live.stack import smoke
from tests.smoke.account import Account
from tests.smoke.client import POSTS

SERVERS = ("gunicorn", "uwsgi")
PROBE = {"WSGI_APP": "tests.live.probe:application"}


def git(folder: Path, *words: str) -> str:
    """Git's answer; whose folder it is does not matter."""
    who = ["-c", "user.name=test", "-c", "user.email=test@example.com", "-c", "safe.directory=*"]
    return subprocess.run(["git", *who, "-C", folder, *words], check=True, text=True, capture_output=True).stdout


@pytest.fixture(scope="module")
def repository(tmp_path_factory) -> Path:
    """A repository of one commit: the files of this working tree, committed or not."""
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
    """The config vars of the app, with a real PostgreSQL in the platform's spelling."""
    with addon.postgres() as database:
        yield {"DATABASE_URL": database, "SECRET_KEY": secrets.token_hex(32)}


@dataclass
class Pushed:
    """What came of a push: git's exit status, what the remote said, and the slug."""

    status: int
    said: str
    slug: Path


def pushed(repository: Path, work: Path, config: dict[str, str], capfd) -> Pushed:
    """Pushes HEAD."""
    status = push.push_commit(repository, "HEAD", work, config, CACHE)
    said = "".join(line.removeprefix("remote: ").rstrip() + "\n" for line in capfd.readouterr().err.splitlines())
    return Pushed(status, said, work / "slug")


@pytest.fixture(scope="module")
def slug(repository, config, tmp_path_factory) -> Path:
    """The slug of a push that was accepted."""
    work = tmp_path_factory.mktemp("push")
    assert push.push_commit(repository, "HEAD", work, config | {"WSGI_SERVER": "gunicorn"}, CACHE) == 0
    return work / "slug"


@contextlib.contextmanager
def web(slug: Path, config: dict[str, str], server: str, command: str = "deploy/start"):
    """A web dyno that listens."""
    with dyno.start(slug, "web.1", command, config | {"WSGI_SERVER": server}) as running:
        running.await_boot()
        yield running


def once(slug: Path, command: str, config: dict[str, str]) -> tuple[int, str]:
    """Exit status and output of a one-off dyno."""
    with dyno.start(slug, "run.1", command, config) as one_off:
        return one_off.wait(), one_off.log()


# --- the push, and what runs afterwards -------------------------------------------------------------------------------


@pytest.mark.parametrize("server", SERVERS)
def test_smoke(slug, config, server):
    """The pushed app keeps every promise of the smoke tests on a web dyno, by the server that WSGI_SERVER names."""
    with web(slug, config, server) as running:
        done = smoke(running.url, "--expect-server", server)
        assert done.returncode == 0, done.stdout + running.tail()
        assert running.stop()[0] == 0


def test_posts_survive_dynos_and_servers(slug, config):
    """A post made on one dyno is there on the next, also when a config var has switched the server in between."""
    with web(slug, config, "gunicorn") as running:
        program = Account.register(running.url).program
        made = program.request("POST", POSTS, 201, json={"body": secrets.token_hex()}).json()
        assert running.stop()[0] == 0
    with web(slug, config, "uwsgi") as running:
        assert requests.get(f"{running.url}{POSTS}/{made['id']}", timeout=10).json() == made


@pytest.mark.parametrize("server", SERVERS)
def test_sigterm_to_all_loses_nothing(slug, config, server):
    """SIGTERM to every process, twice, lets a request of 4 s finish; then the dyno exits with status 0."""
    with web(slug, config | PROBE, server) as running:
        answers: list = []
        ask = threading.Thread(target=lambda: answers.append(requests.get(f"{running.url}/sleep/4", timeout=20)))
        ask.start()
        until(lambda: "at work on /sleep/4" in running.log())
        for process in running.processes():  # the platform may send it more than once
            os.kill(process, signal.SIGTERM)
        status, seconds = running.stop()
        ask.join()
        assert answers and answers[0].status_code == 200, running.tail()
        assert status == 0, running.tail()
        assert seconds < 10


@pytest.mark.parametrize("server", SERVERS)
def test_sigterm_while_loading(slug, config, server):
    """SIGTERM to processes that still load the app is not lost: the dyno ends with status 0, uWSGI's at once.

    Gunicorn may miss it in the moment in which a worker starts, and then waits for SHUTDOWN_GRACE (25 s).
    """
    (slug / "slow.py").write_text("import time\ntime.sleep(2)\nfrom tests.live.probe import application\n")
    with web(slug, config | {"WSGI_APP": "slow:application"}, server) as running:
        until(lambda: len(re.findall("(Booting worker|spawned uWSGI worker)", running.log())) == 2)
        status, seconds = running.stop()
        assert status == 0, running.tail()
        assert seconds < (dyno.EXIT if server == "gunicorn" else 10)


def until(true, seconds: float = 20) -> None:
    """Returns when something has become true; fails after a while."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("server", SERVERS)
def test_router_is_the_one_proxy(slug, config, server):
    """Scheme and client come from the router's headers; what the client forged in front of them is not believed."""
    forged = {"X-Forwarded-For": "203.0.113.66, 198.51.100.7", "X-Forwarded-Proto": "https", "X-Forwarded-Port": "443"}
    with web(slug, config | PROBE, server) as running:
        seen = requests.get(f"{running.url}/echo", headers=forged, timeout=10).json()
    assert (seen["wsgi.url_scheme"], seen["REMOTE_ADDR"]) == ("https", "198.51.100.7")


def test_environment_is_the_platforms(slug, config):
    """A dyno inherits nothing from this machine; REQUEST_TIMEOUT is below the router's 30 s there, RELEASE is set."""
    status, said = once(slug, "env", config)
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
    assert once(slug, "echo $REQUEST_TIMEOUT", {"REQUEST_TIMEOUT": "7"}) == (0, "7\n")


def test_dyno_is_alone(slug, config):
    """A dyno is no root, sees its own processes alone, has no Apache, and what it writes is gone with it."""
    question = "id -u; ls -d /proc/[0-9]* | wc -l; command -v apache2; touch new && ls new; ls /var/lib"
    answer = once(slug, question, config)
    assert answer[1].split()[0] == str(dyno.USER) and int(answer[1].split()[1]) < 8
    assert answer[1].split()[2:] == ["new"] and not (slug / "new").exists()


def test_memory_is_limited(slug, config):
    """A process that takes more than a dyno's 512 MB does not get it."""
    assert once(slug, f"python3 -c 'bytearray({memory.DYNO} + 2**27)'", config)[0] != 0


@pytest.mark.parametrize("missing", ["SECRET_KEY", "DATABASE_URL"])
def test_files_do_not_last(slug, config, missing):
    """Without SECRET_KEY, or a database, a release is refused instead of keeping it in files that do not last."""
    given = {name: value for name, value in config.items() if name != missing}
    status, said = once(slug, "deploy/release", given)
    assert status == 78 and f"set {missing}" in said


def test_mod_wsgi(slug, config):
    """WSGI_SERVER=mod_wsgi fails the release phase: what is wrong, why, and what to type instead."""
    status, said = once(slug, "deploy/release", config | {"WSGI_SERVER": "mod_wsgi"})
    assert status == 78 and "mod_wsgi cannot run here" in said
    assert "Heroku, for one, has no Apache" in said and "set WSGI_SERVER=gunicorn or uwsgi" in said


def test_web_process_that_crashes_or_stays(slug, config, monkeypatch):
    """A web process that ends at once (H10), never listens (R10) or ignores SIGTERM (R12) is refused by that name."""
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


# --- refusals by a real push (those for the sake of files alone: tests/unit/cli/test_heroku_check.py) -----------------


@pytest.fixture
def change(repository, tmp_path):
    """Makes a clone whose only difference is one more commit."""

    def commit(**texts: str) -> Path:
        clone = tmp_path / "clone"
        git(tmp_path, "clone", "--quiet", str(repository), str(clone))
        for name, text in texts.items():
            (clone / name).write_text(text)
        git(clone, "add", "--all", "--force")
        git(clone, "commit", "--quiet", "--allow-empty", "--message", "change")
        return clone

    return commit


def refused(repository: Path, tmp_path: Path, config, capfd) -> str:
    """What is said of a push that must be rejected."""
    work = tmp_path / "work"
    work.mkdir()
    found = pushed(repository, work, config, capfd)
    assert found.status != 0 and "[remote rejected]" in found.said and "Push rejected" in found.said, found.said
    return found.said


def test_two_package_managers(change, tmp_path, config, capfd):
    """A second package manager's file rejects the push, with the platform's reason and what to type."""
    said = refused(change(**{"requirements.txt": "flask\n"}), tmp_path, config, capfd)
    assert "error: Multiple Python package manager files were found." in said and "git rm requirements.txt" in said


def test_stale_lock(change, tmp_path, config, capfd):
    """A Pipfile that was edited after its lock rejects the push, although every package of it is locked."""
    text = (ROOT / "Pipfile").read_text()
    said = refused(change(Pipfile=text.replace('flask = "~=3.1"', 'flask = "~=3.0"')), tmp_path, config, capfd)
    assert "Pipfile.lock is out of date" in said and "./stack lock" in said


def test_failing_hook(change, tmp_path, config, capfd):
    """A hook that fails rejects the push, before anything is installed if it is bin/pre_compile."""
    said = refused(change(**{"bin/pre_compile": "#!/bin/sh\necho no such luck\nexit 4\n"}), tmp_path, config, capfd)
    assert "no such luck" in said and "error: Failed to run the bin/pre_compile script." in said
    assert "Installing" not in said


def test_failing_release(slug, change, tmp_path, config, capfd):
    """A release phase that fails rejects the push."""
    said = refused(change(), tmp_path, config | {"RELEASE_COMMAND": "echo half way; exit 9"}, capfd)
    assert "half way" in said and "Release command failed with exit status 9." in said


def test_interrupted_run_leaves_nothing(slug):
    """A rehearsal that is interrupted in the middle of its push ends with 130, and nothing of it is left."""
    before = left()
    command = [sys.executable, "-m", "cli.heroku"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as run:
        for line in run.stdout:
            if "Installing dependencies" in line:
                run.send_signal(signal.SIGINT)
                break
        run.communicate(timeout=30)
    assert run.returncode == 130
    until(lambda: left() <= before)


def left() -> set[str]:
    """Files, cgroups and processes of rehearsals."""
    found = {str(path) for path in [*Path("/tmp").glob("tripod-*"), *memory.CGROUPS.glob("**/tripod-dyno-*")]}
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            words = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if "cli.heroku" in words or "/tmp/tripod-" in words:
                found.add(words)
    return found
