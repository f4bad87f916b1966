"""Live tests of ./stack doctor: no errors on a healthy stack, and each problem is reported by its check."""

import os
import re
import subprocess
import time

import pytest
import requests

from tests.live.stack import ROOT


@pytest.fixture
def stack(make_stack):
    stack = make_stack()
    stack.up()
    return stack


def doctor(stack, level: str = "error") -> tuple[int, dict[str, str], float]:
    """Run ./stack doctor; return its exit status, its errors (or warnings) by check, and its duration in seconds."""
    own = {"COMPOSE_PROJECT_NAME": stack.project, "HTTP_PORT": str(stack.port), "COMPOSE_ENV_FILES": "/dev/null"}
    started = time.monotonic()
    command = [f"{ROOT}/stack", "doctor"]
    done = subprocess.run(command, env=os.environ | own, text=True, capture_output=True, timeout=120)
    assert "Traceback" not in done.stderr
    errors = dict(re.findall(rf"^{level} +(.+?)  +(.*)$", done.stdout, re.M))
    return done.returncode, errors, time.monotonic() - started


def test_healthy_stack(stack, record_property):
    """A healthy stack has no errors, and the checks take less than 30 s on a busy machine."""
    status, errors, seconds = doctor(stack)
    record_property("seconds", round(seconds, 1))
    assert (status, errors) == (0, {})
    assert seconds < 30, f"the checks took {seconds:.1f} s; on an idle machine they take less than 10 s"


def test_three_problems(stack):
    """Too many workers for the memory and different settings in the two containers are errors of their checks, and
    nothing else is. A proxy that TRUSTED_PROXIES does not count is a warning: any client can send its header.
    """
    stack.up(WEB_CONCURRENCY="5")
    stack.compose("up", "--detach", "--no-build", "--no-deps", "--wait", "nginx", MAX_BODY_SIZE="1m")
    for number in range(30):
        requests.get(f"{stack.url}/?{number}", headers={"X-Forwarded-For": "203.0.113.7"}, timeout=10)
    time.sleep(1.5)  # Nginx writes its log up to a second late
    status, errors, _ = doctor(stack)
    assert status == 1
    assert set(errors) == {"memory", "shared settings"}, errors
    assert "5 workers in 512 MB" in errors["memory"]
    assert "MAX_BODY_SIZE" in errors["shared settings"]
    assert "pass 1 more" in doctor(stack, "warning")[1]["trusted proxies"]
