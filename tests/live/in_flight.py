"""Requests that are in flight while a test does something else."""

import threading
import time

import requests

from tests.live.stack import docker

REACHED_WITHIN = 20  # seconds on a busy machine


def in_background(url: str):
    """Send a request in a thread and return a function that waits for the response."""
    answers: list = []
    thread = threading.Thread(target=lambda: answers.append(requests.get(url, timeout=30)))
    thread.start()

    def wait():
        thread.join()
        assert answers, "the connection was cut: see the traceback of the thread above"
        return answers[0]

    return wait


def wait_until_in_flight(stack, path: str, number: int = 1) -> None:
    """Wait until the probe has logged that it works on this number of requests for the path."""
    container, deadline = stack.container("web"), time.monotonic() + REACHED_WITHIN
    while (found := logged(container, f"at work on {path}")) < number:
        assert time.monotonic() < deadline, f"only {found} of {number} requests for {path} reached the app"
        time.sleep(0.05)


def logged(container: str, text: str) -> int:
    """Return how often the container has logged a text."""
    done = docker("logs", container)
    return (done.stdout + done.stderr).count(text)
