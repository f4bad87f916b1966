"""deploy/heartbeat.py: what tells a busy server from a dead one."""

import os
import time

import pytest

from deploy import heartbeat
from tests.support.wsgi import settings


@pytest.fixture
def known(tmp_path):
    return settings(RUNTIME_DIRECTORY=str(tmp_path), REQUEST_TIMEOUT="30")


def beaten(known, seconds_ago: float) -> None:
    """A pulse of that long ago."""
    heartbeat.beat(known)
    moment = time.time() - seconds_ago
    os.utime(heartbeat._path(known), (moment, moment))


@pytest.mark.parametrize(("seconds_ago", "dead"), [(0, False), (45, False), (55, True), (-3600, False)])
def test_dead_after_silence(known, seconds_ago, dead):
    """A server is dead when nothing has been finished for REQUEST_TIMEOUT + 20 s; a clock set back changes nothing."""
    beaten(known, seconds_ago)
    assert heartbeat.is_dead(known) is dead


def test_not_before_the_first_pulse(known):
    """An app that is still loading is not dead, nor is one that has just been started after a dead one."""
    assert not heartbeat.is_dead(known)
    beaten(known, 3600)
    heartbeat.reset(known)
    assert not heartbeat.is_dead(known)


def test_no_folder_is_no_fault(known):
    """Where there is no folder for sockets nobody looks for a pulse, and the app is not disturbed."""
    heartbeat.beat(known | {"RUNTIME_DIRECTORY": "/nonexistent"})
