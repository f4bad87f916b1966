"""The worker class that Gunicorn has behind Nginx: threads that accept, answer and close."""

import contextlib
import http.client
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from deploy.settings import ROOT

APP = """
import os, time
def application(environ, start_response):
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


def ask(path, seconds=0.0):
    """Process id of who answered, and whether the connection was closed behind the answer."""
    with contextlib.closing(_Connection(path)) as connection:
        connection.request("GET", f"/?{seconds}")
        response = connection.getresponse()
        return int(response.read()), response.headers["Connection"]


@pytest.fixture
def start(tmp_path):
    """Starts Gunicorn with the worker class and more options; returns its process and socket."""
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
                ask(path)
                return process, path
            except OSError:
                assert time.monotonic() < deadline and process.poll() is None
                time.sleep(0.05)

    yield start
    for process in started:
        process.kill()
        process.wait()


def test_threads_work_at_the_same_time(start):
    """As many requests as there are threads are answered at once, and each connection is closed."""
    _, path = start()
    began = time.monotonic()
    with ThreadPoolExecutor(THREADS) as pool:
        answers = list(pool.map(ask, [path] * THREADS, [1.0] * THREADS))
    assert time.monotonic() - began < 0.9 * THREADS  # one after the other it would be a second for each
    assert {close for _, close in answers} == {"close"}


def test_stop_answers_what_waits(start):
    """On SIGTERM requests that wait to be accepted are answered too, not only those that a thread has; status 0."""
    process, path = start()
    with ThreadPoolExecutor(3 * THREADS) as pool:
        answers = [pool.submit(ask, path, 0.5) for _ in range(3 * THREADS)]
        time.sleep(0.3)  # all have connected; only the first three are inside
        process.terminate()
        assert len([answer.result() for answer in answers]) == 3 * THREADS
    assert process.wait(timeout=10) == 0


def test_idle_worker_stops_soon(start):
    """A worker whose threads all wait for a connection ends within some two seconds."""
    process, _ = start()
    began = time.monotonic()
    process.terminate()
    assert process.wait(timeout=20) == 0
    assert time.monotonic() - began < 5


def test_replaced_without_a_loss(start):
    """With max_requests processes come and go under load, and every request is answered."""
    _, path = start("--max-requests", "20", "--workers", "2")
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(ask, [path] * 200))
    assert len({process for process, _ in answers}) > 3
