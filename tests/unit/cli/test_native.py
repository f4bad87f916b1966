"""Plain processes without Docker: when they are the way, what they install, and how they refuse."""

import argparse
import json
import os
import subprocess

import pytest
from packaging.requirements import Requirement

from cli import dotenv, engine, native, requirements
from cli.commands import up
from cli.console import ROOT
from deploy.errors import StackError
from deploy.settings import load_settings

NO_ENGINE = StackError("The Docker engine does not start.", "exit status 1", "docker info")


@pytest.fixture
def door(monkeypatch):
    """`up` on a machine without an engine; what it calls instead is remembered."""
    called = []
    monkeypatch.setattr(up.native, "running", dict)
    monkeypatch.setattr(up, "_native", lambda args: called.append("native") or 0)
    monkeypatch.setattr(up, "_containers", lambda args: called.append("containers") or 0)

    def refuse():
        raise NO_ENGINE

    monkeypatch.setattr(up.engine, "ensure", refuse)
    return called


def _args(**given):
    return argparse.Namespace(**{"server": None, "native": False, "prepare": False, **given})


def test_falls_back_and_says_so(door, monkeypatch, capsys):
    """Where no engine can be had, plain processes are started; the reason is said, and what would bring an engine."""
    monkeypatch.setattr(up.native, "is_possible", lambda server: True)
    assert up.run(_args()) == 0
    said = capsys.readouterr().out
    assert door == ["native"] and "The Docker engine does not start" in said
    assert f"type: ./stack down, and then: {NO_ENGINE.fix}\n" in said


def test_engines_problem_stays_where_there_is_no_other_way(door, monkeypatch):
    """Where plain processes can't run either, the engine's problem is shown."""
    monkeypatch.setattr(up.native, "is_possible", lambda server: False)
    with pytest.raises(StackError) as raised:
        up.run(_args())
    assert raised.value is NO_ENGINE and door == []


def test_engine_of_others_is_no_reason_to_do_without(door, monkeypatch):
    """An engine that refuses this user is shown as the problem it is: the stack's data may be there."""
    monkeypatch.setattr(up.native, "is_possible", lambda server: True)
    monkeypatch.setattr(up.engine, "ensure", lambda: (_ for _ in ()).throw(engine._access_denied("permission denied")))
    with pytest.raises(engine.AccessDenied):
        up.run(_args())
    assert door == []


def test_engine_comes_first(door, monkeypatch):
    """Where an engine works, containers are used, unless --native asks for processes or they run already."""
    monkeypatch.setattr(up.engine, "ensure", lambda: None)
    up.run(_args())
    up.run(_args(native=True))
    monkeypatch.setattr(up.native, "running", lambda: {"pid": 1})
    up.run(_args())
    assert door == ["containers", "native", "native"]


def test_requirements_have_hashes():
    """What pip installs is what was locked: every package of the app with its hashes, and honcho."""
    lines = requirements.locked(uwsgi=True, more=["honcho"]).splitlines()
    lock = json.loads((ROOT / "Pipfile.lock").read_text())
    assert all("==" in line and "--hash=sha256:" in line for line in lines)
    assert {line.split("==")[0].split("[")[0] for line in lines} == {*lock["default"], "honcho"}


def test_uwsgi_is_compiled_only_where_it_is_asked_for():
    """Without uWSGI nothing has to be compiled."""
    assert "uwsgi==" not in requirements.locked(uwsgi=False)


def test_env_file_is_read_as_compose_reads_it(monkeypatch, tmp_path):
    """Quotes, comments and export in .env mean what they mean to Compose."""
    monkeypatch.setattr(dotenv, "PATH", tmp_path / ".env")
    dotenv.PATH.write_text("# A=0\nB=1 # one\nexport C='two # 2'\nD=\"x=y\"\nE=a#b\nF=\n")
    assert dotenv.values() == {"B": "1", "C": "two # 2", "D": "x=y", "E": "a#b", "F": ""}


def test_shell_wins_over_env_file(monkeypatch, tmp_path):
    """The shell before .env before the default; an empty value in the shell counts as unset."""
    monkeypatch.setattr(dotenv, "PATH", tmp_path / ".env")
    dotenv.PATH.write_text("WEB_THREADS=3\nLOG_LEVEL=debug\nRUNTIME_DIRECTORY=/run/tripod\n")
    monkeypatch.setenv("LOG_LEVEL", "error")
    monkeypatch.setenv("WEB_THREADS", "")
    values = native.settings()
    assert (values["WEB_THREADS"], values["LOG_LEVEL"], values["PORT"]) == ("3", "error", "")


@pytest.mark.parametrize(
    "given, what",
    [
        ({"WSGI_SERVER": "mod_wsgi"}, "needs Docker"),
        ({"APP_DIR": "../shop"}, "needs Docker"),
        ({"RUNTIME_DIRECTORY": f"/{'x' * 100}"}, "too long"),
    ],
)
def test_what_processes_cannot_do(given, what):
    """What only images can do is refused before anything is installed."""
    with pytest.raises(StackError) as raised:
        native._check(load_settings(given))
    assert what in raised.value.error and raised.value.status == 78


def test_number_of_an_ended_process_is_not_ours(monkeypatch, tmp_path):
    """A process that has taken over the number of ours is never mistaken for it, nor stopped."""
    monkeypatch.setattr(native, "RUNNING", tmp_path / "running.json")
    child = subprocess.Popen(["sleep", "60"])
    native.RUNNING.write_text(json.dumps({"pid": child.pid, "born": native._born(child.pid), "url": ""}))
    assert native.running()["pid"] == child.pid
    child.kill()
    child.wait()
    assert native.running() == {}
    native.RUNNING.write_text(json.dumps({"pid": os.getpid(), "born": 1, "url": ""}))
    native.down()  # would end these tests
    assert not native.RUNNING.exists()


def test_packages_run_on_the_oldest_python():
    """Every locked package is there for Python 3.11 too, which a plain Debian 12 has."""
    oldest = {"python_version": ".".join(map(str, native.OLDEST_PYTHON)), "implementation_name": "cpython"}
    lines = requirements.locked(uwsgi=True, more=["honcho"]).splitlines()
    named = [Requirement(line.partition(" --hash")[0]) for line in lines]
    assert [one.name for one in named if one.marker and not one.marker.evaluate(oldest)] == []
