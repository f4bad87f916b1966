"""Plain processes without Docker: when they are started, what they install, and what they refuse."""

import argparse
import json
import os

import pytest
from packaging.requirements import Requirement

from cli import apt, console, dotenv, engine, native, requirements, sudo
from cli.commands import up
from cli.console import ROOT
from deploy.errors import StackError
from deploy.settings import load_settings


@pytest.fixture
def started(monkeypatch):
    """What `up` starts on a machine that never had an engine and on which none can be installed."""
    started = []
    monkeypatch.setattr(up.native, "running", dict)
    monkeypatch.setattr(up.native, "is_possible", lambda server: True)
    monkeypatch.setattr(up, "_start_native", lambda args: started.append("native") or 0)
    monkeypatch.setattr(up, "_start_containers", lambda args: started.append("containers") or 0)
    monkeypatch.setattr(up.engine, "exists", lambda: False)
    _fail_to_install(monkeypatch, StackError("./stack cannot install Docker on X.", "It can on Debian.", "install it"))
    return started


def _fail_to_install(monkeypatch, error):
    def fail(assume_yes):
        raise error

    monkeypatch.setattr(up.engine, "ensure", fail)


def _args(**options):
    return argparse.Namespace(
        **{"server": None, "native": False, "prepare": False, "upgrade": False, "yes": False, **options}
    )


def test_machine_without_any_engine_runs_plain_processes(started, capsys):
    """If there was no engine and none can be installed, plain processes are started; the reason is printed."""
    assert up.run(_args()) == 0
    output = capsys.readouterr().out
    assert started == ["native"] and "./stack cannot install Docker on X. It can on Debian." in output
    assert "To use Docker later: ./stack down, then: install it\n" in output


def test_machine_with_an_engine_never_runs_plain_processes_by_itself(started, monkeypatch):
    """If an engine or its data exists and does not start, this is an error: the stack's data may be in its volumes."""
    monkeypatch.setattr(up.engine, "exists", lambda: True)
    _fail_to_install(monkeypatch, StackError("The Docker engine does not start.", "exit status 1", "docker info"))
    with pytest.raises(StackError) as raised:
        up.run(_args())
    assert started == [] and raised.value.error == "The Docker engine does not start."
    assert raised.value.fix.splitlines()[0] == "docker info" and "./stack up --native" in raised.value.fix


def test_engine_is_looked_for_before_one_is_installed(started, monkeypatch):
    """An engine that `ensure` has just installed, and that does not start, has no data: plain processes are started."""
    order = []
    monkeypatch.setattr(up.engine, "exists", lambda: bool(order.append("exists")))

    def fail(assume_yes):
        order.append("ensure")
        raise StackError("The Docker engine does not start.", "exit status 1", "docker info")

    monkeypatch.setattr(up.engine, "ensure", fail)
    up.run(_args())
    assert order == ["exists", "ensure"] and started == ["native"]


def test_error_of_the_engine_is_shown_if_processes_are_impossible(started, monkeypatch):
    """If plain processes cannot run either, the engine's error is shown."""
    monkeypatch.setattr(up.native, "is_possible", lambda server: False)
    with pytest.raises(StackError) as raised:
        up.run(_args())
    assert raised.value.error == "./stack cannot install Docker on X." and started == []


@pytest.mark.parametrize("error", [engine._access_denied("permission denied"), sudo.Declined("No.", "-", "-")])
def test_refusal_does_not_start_plain_processes(started, monkeypatch, error):
    """An engine that refuses this user, or a user who declined the installation, is no reason for plain processes."""
    _fail_to_install(monkeypatch, error)
    with pytest.raises(type(error)):
        up.run(_args())
    assert started == []


def test_containers_come_first(started, monkeypatch):
    """If an engine works, containers are started, unless --native is set or plain processes are running."""
    monkeypatch.setattr(up.engine, "ensure", lambda assume_yes: None)
    up.run(_args())
    up.run(_args(native=True))
    monkeypatch.setattr(up.native, "running", lambda: {"pid": 1})
    up.run(_args())
    assert started == ["containers", "native", "native"]


def test_native_works_on_a_machine_with_an_engine(started, monkeypatch):
    """--native starts plain processes on every machine, without a look at the engine."""
    monkeypatch.setattr(up.engine, "exists", None)
    up.run(_args(native=True))
    assert started == ["native"]


@pytest.fixture
def bare(monkeypatch):
    """A machine without Nginx, on which the user types `n` to every question; installations are recorded."""
    done = []
    monkeypatch.setattr(native, "missing_packages", lambda server: ["nginx", "python3-venv"])
    monkeypatch.setattr(native, "_user_exists", lambda: False)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(sudo, "is_available", lambda: True)
    monkeypatch.setattr(sudo, "require", lambda purpose: None)
    monkeypatch.setattr(apt, "install", lambda packages: done.append(f"install {' '.join(packages)}"))
    monkeypatch.setattr(console, "capture", lambda argv: done.append("stop nginx"))
    monkeypatch.setattr(console, "run", lambda title, argv, fix: done.append(title))
    monkeypatch.setattr(console, "is_interactive", lambda: True)
    monkeypatch.setattr("builtins.input", lambda prompt: "n")
    return done


def test_changes_for_plain_processes_are_confirmed(bare, capsys):
    """Packages, the service and the user are listed; on a terminal, a `n` changes nothing."""
    with pytest.raises(sudo.Declined):
        native.install("gunicorn", assume_yes=False)
    output = capsys.readouterr().out
    assert bare == []
    for change in ("install the packages nginx python3-venv,", "stop and disable the service nginx", "user tripod"):
        assert change in output


def test_changes_for_plain_processes_are_made(bare):
    """With --yes, the listed changes are made without a question."""
    native.install("gunicorn", assume_yes=True)
    assert bare == ["install nginx python3-venv", "stop nginx", "adding the user tripod"]


def test_requirements_have_hashes():
    """pip installs what Pipfile.lock pins: every package of the app with its hashes, and honcho."""
    lines = requirements.locked(uwsgi=True, more=["honcho"]).splitlines()
    lock = json.loads((ROOT / "Pipfile.lock").read_text())
    assert all("==" in line and "--hash=sha256:" in line for line in lines)
    assert {line.split("==")[0].split("[")[0] for line in lines} == {*lock["default"], "honcho"}


def test_uwsgi_is_compiled_only_on_request():
    """The requirements contain uWSGI, which pip compiles, only on request."""
    assert "uwsgi==" not in requirements.locked(uwsgi=False)


def test_shell_overrides_env_file(monkeypatch, tmp_path):
    """The shell overrides .env, .env overrides the default; an empty value in the shell means the default."""
    monkeypatch.setattr(dotenv, "PATH", tmp_path / ".env")
    dotenv.PATH.write_text("WEB_THREADS=3\nLOG_LEVEL=debug\nRUNTIME_DIRECTORY=/run/tripod\n")
    monkeypatch.setenv("LOG_LEVEL", "error")
    monkeypatch.setenv("WEB_THREADS", "")
    values = native.settings()
    assert (values["WEB_THREADS"], values["LOG_LEVEL"], values["PORT"]) == ("4", "error", "")


@pytest.mark.parametrize(
    ("values", "error"),
    [
        ({"WSGI_SERVER": "mod_wsgi"}, "needs Docker"),
        ({"APP_DIR": "../shop"}, "needs Docker"),
        ({"RUNTIME_DIRECTORY": f"/{'x' * 100}"}, "too long"),
    ],
)
def test_settings_that_need_docker_are_refused(values, error):
    """Settings that need images are refused before anything is installed."""
    with pytest.raises(StackError) as raised:
        native._check(load_settings(values))
    assert error in raised.value.error and raised.value.status == 78


def test_packages_run_on_the_oldest_python():
    """Every package of Pipfile.lock can be installed on Python 3.11, which Debian 12 has."""
    oldest = {"python_version": ".".join(map(str, native.OLDEST_PYTHON)), "implementation_name": "cpython"}
    lines = requirements.locked(uwsgi=True, more=["honcho"]).splitlines()
    packages = [Requirement(line.partition(" --hash")[0]) for line in lines]
    assert [package.name for package in packages if package.marker and not package.marker.evaluate(oldest)] == []


@pytest.mark.parametrize(
    ("bind", "url"),
    [
        ("0.0.0.0", "http://127.0.0.1:8080"),
        ("192.0.2.7", "http://192.0.2.7:8080"),
        ("[::1]", "http://[::1]:8080"),
        ("[::]", "http://[::1]:8080"),
    ],
)
def test_url_is_where_nginx_listens(bind, url):
    """./stack asks Nginx at the address of HTTP_BIND, and on this machine if that is every address."""
    assert native._url(load_settings({"HTTP_BIND": bind})) == url
