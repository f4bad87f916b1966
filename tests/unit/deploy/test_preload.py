"""PRELOAD on the real servers: how often the app is loaded, and what its processes share afterwards."""

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

# Apache's processes load the app independently.
FORKING_SERVERS = [server for server in server_names() if server != "mod_wsgi"]
APP = """
import gc, json, os, pathlib, random

loaded_in, forks = os.getpid(), []
os.register_at_fork(after_in_child=lambda: forks.append(os.getpid()))
with open(pathlib.Path(__file__).with_name("loads"), "a") as loads:
    loads.write("+")

def app(environ, start_response):
    facts = {"pid": os.getpid(), "loaded_in": loaded_in, "knows_of_the_fork": os.getpid() in forks,
             "random": random.random(), "frozen": gc.get_freeze_count(), "collects": gc.isenabled()}
    body = json.dumps(facts).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""


@contextmanager
def served(folder, server: str, preload: str):
    """The URL of APP on the server, as on a platform without Nginx, with two worker processes."""
    (folder / "custom.py").write_text(APP)
    port = str(free_port())
    env = {
        "PORT": port,
        "WSGI_SERVER": server,
        "PRELOAD": preload,
        "WEB_CONCURRENCY": "2",
        "WEB_THREADS": "1",
        "WSGI_APP": "custom:app",
        "PYTHONPATH": str(folder),
        "STATE_DIRECTORY": str(folder),
    }
    with subprocess.Popen([sys.executable, ROOT / "deploy/start"], env=CLEAN | env) as process:
        try:
            yield f"http://127.0.0.1:{port}/"
        finally:
            process.send_signal(signal.SIGTERM)


def responses_by_process(url: str) -> dict[int, list[dict]]:
    """The responses of the app by process, when both processes have answered."""
    responses, deadline = {}, time.monotonic() + 30
    while len(responses) < 2:
        assert time.monotonic() < deadline, responses
        try:
            with urllib.request.urlopen(url, timeout=5) as response:
                answer = json.load(response)
            responses.setdefault(answer["pid"], []).append(answer)
        except OSError:
            time.sleep(0.05)  # not started yet
    return responses


@pytest.mark.parametrize("server", FORKING_SERVERS)
def test_preload_on(server, tmp_path):
    """The app is loaded once, by a process that answers no requests. The worker processes are informed of the fork,
    have different random numbers, and exclude the app's objects from garbage collection.
    """
    with served(tmp_path, server, "on") as url:
        responses = responses_by_process(url)
    answers = [answer for one_process in responses.values() for answer in one_process]
    assert (tmp_path / "loads").read_text() == "+"
    assert {answer["loaded_in"] for answer in answers}.isdisjoint(responses)
    assert {answer["knows_of_the_fork"] for answer in answers} == {True}
    assert len({answer["random"] for answer in answers}) == len(answers)
    assert min(answer["frozen"] for answer in answers) > 10_000
    assert {answer["collects"] for answer in answers} == {True}


@pytest.mark.parametrize("server", FORKING_SERVERS)
def test_preload_off(server, tmp_path):
    """Each worker process loads the app, after deploy/start has loaded it once as a check."""
    with served(tmp_path, server, "off") as url:
        responses = responses_by_process(url)
    answers = [answer for one_process in responses.values() for answer in one_process]
    assert (tmp_path / "loads").read_text() == "+" * 3
    assert {answer["pid"] == answer["loaded_in"] for answer in answers} == {True}


def test_sample_app_can_be_preloaded(tmp_path):
    """The loaded sample app has neither threads nor connections; a connection that is open at a fork is not used by the
    child.
    """
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
