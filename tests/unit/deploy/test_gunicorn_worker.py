"""Gunicorn's worker class behind Nginx: its threads accept connections, answer and close them."""

import contextlib
import http.client
import json
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from deploy.settings import ROOT
from tests.support.wsgi import python, settings

APP = """
import os, time
def application(environ, start_response):
    if environ["QUERY_STRING"].startswith("break"):
        from deploy.servers.gunicorn.worker import Worker
        def end_thread(*args):
            raise SystemExit("not caught by handle()")
        Worker.handle_error = end_thread
        raise BaseException("not an Exception")
    time.sleep(float(environ["QUERY_STRING"] or 0))
    body = str(os.getpid()).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""
WORKER = "deploy.servers.gunicorn.worker.Worker"
THREADS = 3


class _Connection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=20)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(str(self.path))


def get(path, seconds=0.0):
    """The process id that answered, and the Connection header of the response."""
    with contextlib.closing(_Connection(path)) as connection:
        connection.request("GET", f"/?{seconds}")
        response = connection.getresponse()
        return int(response.read()), response.headers["Connection"]


@pytest.fixture
def start(tmp_path):
    """Return a function that starts Gunicorn with the worker class and further options; it returns process and
    socket.
    """
    started = []

    def start(*options):
        (tmp_path / "waiting.py").write_text(APP)
        path = tmp_path / "gunicorn.sock"
        command = [
            sys.executable,
            "-m",
            "gunicorn",
            "--worker-class",
            WORKER,
            "--threads",
            str(THREADS),
            *options,
            "--bind",
            f"unix:{path}",
            "--no-control-socket",
            "waiting:application",
        ]
        environment = {"PYTHONPATH": str(tmp_path)}
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.DEVNULL)
        started.append(process)
        deadline = time.monotonic() + 20
        while True:
            try:
                get(path)
                return process, path
            except OSError:
                assert time.monotonic() < deadline and process.poll() is None
                time.sleep(0.05)

    yield start
    for process in started:
        process.kill()
        process.wait()


def test_threads_answer_concurrently(start):
    """The threads answer concurrently, and every connection is closed."""
    _, path = start()
    began = time.monotonic()
    with ThreadPoolExecutor(THREADS) as pool:
        answers = list(pool.map(get, [path] * THREADS, [1.0] * THREADS))
    assert time.monotonic() - began < 0.9 * THREADS  # sequentially it would be a second for each
    assert {close for _, close in answers} == {"close"}


def test_stop_answers_the_backlog(start):
    """After SIGTERM requests in the backlog are answered too, not only in-flight ones; the exit status is 0."""
    process, path = start()
    with ThreadPoolExecutor(3 * THREADS) as pool:
        answers = [pool.submit(get, path, 0.5) for _ in range(3 * THREADS)]
        time.sleep(0.3)  # all have connected; only three are in-flight
        process.terminate()
        assert len([answer.result() for answer in answers]) == 3 * THREADS
    assert process.wait(timeout=10) == 0


def test_idle_worker_stops_quickly(start):
    """A worker process whose threads all wait for a connection exits within about two seconds."""
    process, _ = start()
    began = time.monotonic()
    process.terminate()
    assert process.wait(timeout=20) == 0
    assert time.monotonic() - began < 5


def test_replacing_workers_loses_no_request(start):
    """With max_requests worker processes are replaced under load, and every request is answered."""
    _, path = start("--max-requests", "20", "--workers", "2")
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(get, [path] * 200))
    assert len({process for process, _ in answers}) > 3


def test_lost_thread_is_replaced(start):
    """If an exception ends a thread, its process finishes the other requests and is replaced by a complete one."""
    _, path = start()
    before, _ = get(path)
    with ThreadPoolExecutor(THREADS) as pool:
        slow = [pool.submit(get, path, 1.0) for _ in range(THREADS - 1)]
        time.sleep(0.3)
        with contextlib.closing(_Connection(path)) as connection, pytest.raises((OSError, http.client.HTTPException)):
            connection.request("GET", "/?break")
            connection.getresponse()
        assert [answer.result()[0] for answer in slow] == [before] * (THREADS - 1)
    deadline = time.monotonic() + 20
    while get(path)[0] == before:
        assert time.monotonic() < deadline
    began = time.monotonic()
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(get, [path] * THREADS, [1.0] * THREADS))
    assert time.monotonic() - began < 0.9 * THREADS


def test_lines_of_gunicorn_are_independent_of_the_app():
    """Gunicorn's own lines are JSON, even if the app disables all of `logging`."""
    code = """if 1:
        import logging, runpy
        from gunicorn.config import Config
        log = runpy.run_path("deploy/servers/gunicorn/gunicorn.conf.py")["JsonLogger"](Config())
        logging.disable(logging.CRITICAL)
        log.info("Booting worker with pid: %s", 7)
    """
    done = python(code, **settings(), SOCKET="/nonexistent/socket", BACKLOG="1")
    line = json.loads(done.stderr)
    assert (line["logger"], line["message"]) == ("gunicorn.error", "Booting worker with pid: 7")
