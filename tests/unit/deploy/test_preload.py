"""PRELOAD, on the real servers: how often the app is loaded, and what its processes share afterwards."""

import json
import signal
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager

import pytest

from deploy.settings import ROOT, server_names
from tests.support.ports import free_port
from tests.support.wsgi import CLEAN, python

FORK = [server for server in server_names() if server != "mod_wsgi"]  # Apache's processes load for themselves
APP = """
import gc, json, os, pathlib, random

loaded_in, forks = os.getpid(), []
os.register_at_fork(after_in_child=lambda: forks.append(os.getpid()))
with open(pathlib.Path(__file__).with_name("loads"), "a") as loads:
    loads.write("+")

def app(environ, start_response):
    told = {"pid": os.getpid(), "loaded_in": loaded_in, "was_told_of_the_fork": os.getpid() in forks,
            "random": random.random(), "frozen": gc.get_freeze_count(), "collects": gc.isenabled()}
    body = json.dumps(told).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""


@contextmanager
def served(folder, server: str, preload: str):
    """The URL of APP under the server, as on a platform without Nginx, with two processes."""
    (folder / "brought.py").write_text(APP)
    port = str(free_port())
    env = {
        "PORT": port,
        "WSGI_SERVER": server,
        "PRELOAD": preload,
        "WEB_CONCURRENCY": "2",
        "WEB_THREADS": "1",
        "WSGI_APP": "brought:app",
        "PYTHONPATH": str(folder),
        "STATE_DIRECTORY": str(folder),
    }
    with subprocess.Popen([sys.executable, ROOT / "deploy/start"], env=CLEAN | env) as process:
        try:
            yield f"http://127.0.0.1:{port}/"
        finally:
            process.send_signal(signal.SIGTERM)


def of_both(url: str) -> dict[int, list[dict]]:
    """What the app tells, by process, as soon as both have answered."""
    told, deadline = {}, time.monotonic() + 30
    while len(told) < 2:
        assert time.monotonic() < deadline, told
        try:
            with urllib.request.urlopen(url, timeout=5) as response:
                one = json.load(response)
            told.setdefault(one["pid"], []).append(one)
        except OSError:
            time.sleep(0.05)  # not up yet
    return told


@pytest.mark.parametrize("server", FORK)
def test_on(server, tmp_path):
    """The app is loaded once, by a process that serves nobody. The others know of the fork, each has random numbers of
    its own, and none looks through the app's objects for garbage.
    """
    with served(tmp_path, server, "on") as url:
        told = of_both(url)
    answers = [answer for some in told.values() for answer in some]
    assert (tmp_path / "loads").read_text() == "+"
    assert {answer["loaded_in"] for answer in answers}.isdisjoint(told)
    assert {answer["was_told_of_the_fork"] for answer in answers} == {True}
    assert len({answer["random"] for answer in answers}) == len(answers)
    assert min(answer["frozen"] for answer in answers) > 10_000
    assert {answer["collects"] for answer in answers} == {True}


@pytest.mark.parametrize("server", FORK)
def test_off(server, tmp_path):
    """Each process loads the app for itself, after one try before the server starts."""
    with served(tmp_path, server, "off") as url:
        told = of_both(url)
    answers = [answer for some in told.values() for answer in some]
    assert (tmp_path / "loads").read_text() == "+" * 3
    assert {answer["pid"] == answer["loaded_in"] for answer in answers} == {True}


def test_sample_can_be_preloaded(tmp_path):
    """Once loaded it has no thread and no connection; one that is open at a fork all the same is not the child's."""
    code = """if 1:
        import os, sys, threading
        from app.wsgi import application, db
        with application.app_context():
            print(threading.active_count(), db.engine.pool.checkedin())
            db.session.execute(db.text("SELECT 1"))
            db.session.remove()
            kept = db.engine.pool.checkedin()
            child = os.fork()
            if not child:
                os._exit(10 * kept + db.engine.pool.checkedin())
            print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    """
    env = {"DATABASE_URL": f"sqlite:///{tmp_path}/app.db", "STATE_DIRECTORY": str(tmp_path)}
    done = python(code, SECRET_KEY="only-for-the-tests-0123456789", **env)
    assert (done.returncode, done.stdout.split()) == (0, ["1", "0", "10"]), done.stderr
