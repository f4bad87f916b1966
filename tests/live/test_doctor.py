"""./stack doctor on a real stack: nothing bad while it is well, and what is broken is named."""

import os
import re
import subprocess
import time

import pytest
import requests

from tests.live.stack import ROOT


@pytest.fixture(scope="module")
def stack(make_stack):
    stack = make_stack()
    stack.up()
    return stack


def doctor(stack) -> tuple[int, dict[str, str], float]:
    """Its exit status, what it calls bad with what it found, and how many seconds it took."""
    own = {"COMPOSE_PROJECT_NAME": stack.project, "HTTP_PORT": str(stack.port), "COMPOSE_ENV_FILES": "/dev/null"}
    started = time.monotonic()
    command = [f"{ROOT}/stack", "doctor"]
    done = subprocess.run(command, env=os.environ | own, text=True, capture_output=True, timeout=120)
    assert "Traceback" not in done.stderr
    bad = dict(re.findall(r"^bad +(.+?)  +(.*)$", done.stdout, re.M))
    return done.returncode, bad, time.monotonic() - started


def test_well(stack):
    """On a stack that is well it finds nothing bad, within seconds."""
    status, bad, seconds = doctor(stack)
    assert (status, bad) == (0, {})
    assert seconds < 30  # the promise is 10; a busy machine takes longer


def test_three_things_broken(stack):
    """Too many workers for the memory, a proxy that nobody has counted, and two containers with settings of their own
    are found, each by its name, and nothing else.
    """
    stack.up(WEB_CONCURRENCY="5")
    stack.compose("up", "--detach", "--no-build", "--no-deps", "--wait", "nginx", MAX_BODY_SIZE="1m")
    for number in range(30):
        requests.get(f"{stack.url}/?{number}", headers={"X-Forwarded-For": "203.0.113.7"}, timeout=10)
    time.sleep(1.5)  # Nginx writes its log up to a second late
    status, bad, _ = doctor(stack)
    assert status == 1
    assert set(bad) == {"workers and memory", "proxies in front", "limits"}, bad
    assert "5 workers in 512 MB" in bad["workers and memory"]
    assert "MAX_BODY_SIZE" in bad["limits"]
