"""./stack doctor on a running stack: no problem on a healthy stack, and each broken part is reported."""

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
    """Run ./stack doctor. Return its exit status, the text of each failed check, and the seconds it took."""
    isolation = {"COMPOSE_PROJECT_NAME": stack.project, "HTTP_PORT": str(stack.port), "COMPOSE_ENV_FILES": "/dev/null"}
    started = time.monotonic()
    command = [f"{ROOT}/stack", "doctor"]
    done = subprocess.run(command, env=os.environ | isolation, text=True, capture_output=True, timeout=120)
    assert "Traceback" not in done.stderr
    bad = dict(re.findall(r"^bad +(.+?)  +(.*)$", done.stdout, re.M))
    return done.returncode, bad, time.monotonic() - started


def test_healthy_stack(stack):
    """On a healthy stack no check fails, and all checks take less than 30 s."""
    status, bad, seconds = doctor(stack)
    assert (status, bad) == (0, {})
    assert seconds < 30  # 10 s on an idle machine


def test_three_things_broken(stack):
    """Too many workers for the memory limit, an uncounted proxy and two containers with different settings are each
    reported under their own name, and nothing else is.
    """
    stack.up(WEB_CONCURRENCY="5")
    stack.compose("up", "--detach", "--no-build", "--no-deps", "--wait", "nginx", MAX_BODY_SIZE="1m")
    for number in range(30):
        requests.get(f"{stack.url}/?{number}", headers={"X-Forwarded-For": "203.0.113.7"}, timeout=10)
    time.sleep(1.5)  # Nginx buffers its log for up to 1 s
    status, bad, _ = doctor(stack)
    assert status == 1
    assert set(bad) == {"workers and memory", "proxies in front", "limits"}, bad
    assert "5 workers in 512 MB" in bad["workers and memory"]
    assert "MAX_BODY_SIZE" in bad["limits"]
