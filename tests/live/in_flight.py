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
    wait_until_logged(stack.container("web"), f"at work on {path}", number)


def wait_until_logged(container: str, text: str, number: int) -> None:
    """Wait until the container has logged a text at least this often. The engine collects the lines later."""
    deadline = time.monotonic() + REACHED_WITHIN
    while (found := logged(container, text)) < number:
        assert time.monotonic() < deadline, f"{text!r} was logged {found} times, not {number} times"
        time.sleep(0.05)


def logged(container: str, text: str) -> int:
    """Return how often the container has logged a text."""
    done = docker("logs", container)
    return (done.stdout + done.stderr).count(text)
