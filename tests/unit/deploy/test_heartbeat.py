"""deploy/heartbeat.py: a busy server is distinguished from a dead one."""

import os
import time

import pytest

from deploy import heartbeat
from tests.support.wsgi import settings


@pytest.fixture
def values(tmp_path):
    return settings(RUNTIME_DIRECTORY=str(tmp_path), REQUEST_TIMEOUT="30")


def beat(values, seconds_ago: float) -> None:
    """Record a heartbeat of some seconds ago."""
    heartbeat.beat(values)
    moment = time.time() - seconds_ago
    os.utime(heartbeat._path(values), (moment, moment))


@pytest.mark.parametrize(("seconds_ago", "dead"), [(0, False), (45, False), (55, True), (-3600, False)])
def test_dead_after_silence(values, seconds_ago, dead):
    """A server is dead if no request has been finished for REQUEST_TIMEOUT + 20 s, even if the clock is set back."""
    beat(values, seconds_ago)
    assert heartbeat.is_dead(values) is dead


def test_not_dead_before_the_first_heartbeat(values):
    """An app that is still loading is not dead, nor is a server that replaces a dead one."""
    assert not heartbeat.is_dead(values)
    beat(values, 3600)
    heartbeat.reset(values)
    assert not heartbeat.is_dead(values)


def test_missing_folder_is_no_error(values):
    """Without a folder for sockets there is no heartbeat, and the app is not disturbed."""
    heartbeat.beat(values | {"RUNTIME_DIRECTORY": "/nonexistent"})
