"""What ./stack reads of the containers before it hands over, and who may."""

import json
import subprocess

import pytest

from cli import compose, console, nginx, rollout
from cli.commands import switch
from deploy.errors import StackError

UNIX = """Num       RefCount Protocol Flags    Type St Inode Path
0000000000000001: 00000003 00000000 00000000 0001 03 74304
0000000000000002: 00000003 00000000 00000000 0001 03 87396 /run/tripod/old.sock
0000000000000003: 00000003 00000000 00000000 0001 02 87393 /run/tripod/old.sock
0000000000000004: 00000002 00000000 00010000 0001 01 87394 /run/tripod/old.sock
0000000000000005: 00000003 00000000 00000000 0001 03 87394 /run/tripod/new.sock
"""


def answers(monkeypatch, stdout):
    """Let docker answer every question so."""
    monkeypatch.setattr(console, "capture", lambda argv, **_: subprocess.CompletedProcess(argv, 0, stdout, ""))


def test_connections_are_counted(monkeypatch):
    """What waits to be accepted counts like what is being worked on; other sockets and the listener do not."""
    answers(monkeypatch, UNIX)
    assert [nginx.NginxContainer("nginx").connections(host) for host in ("old", "new", "none")] == [2, 1, 0]


@pytest.mark.parametrize(("said", "serving"), [("abc.sock\n1700000000\n", ("abc", 1700000000)), ("", ("", 0))])
def test_link_is_read(monkeypatch, said, serving):
    """The link names the container by its host name, and its own age is since when; without a link nobody serves."""
    answers(monkeypatch, said)
    assert nginx.NginxContainer("nginx").serving() == serving


def test_answers_are_counted_from_the_log(monkeypatch):
    """Only what reached a web container counts, by its last answer; lines that are no JSON are passed over."""
    statuses = ("200", "500", "-", "", "502, 200", "502")
    lines = [json.dumps({"logger": "nginx.access", "app_status": status}) for status in statuses]
    answers(monkeypatch, "\n".join([*lines, "2026/11/21 [error] no JSON", "[1]"]))
    assert nginx.NginxContainer("nginx").answers(0) == (4, 2)


def test_second_call_is_refused():
    """While one call holds the lock, another is told so; when it is over, the next may."""
    with rollout.alone():
        with pytest.raises(StackError, match="at work in this folder"), rollout.alone():
            raise AssertionError("two at once")
    with rollout.alone():
        pass


def test_plain_processes_are_refused(monkeypatch):
    """Where the stack runs without containers, nothing can be handed over, and the message names the other way."""
    monkeypatch.setattr("cli.native.running", lambda: {"pid": 1})
    with pytest.raises(StackError) as raised:
        switch.run(None)
    assert "plain processes" in raised.value.error
    assert "./stack up --native --server" in raised.value.fix


def test_without_nginx_there_is_no_handover(monkeypatch):
    """Apache alone, or a stack that does not run: said in three parts."""
    monkeypatch.setattr(compose, "containers", lambda stack: [])
    with pytest.raises(StackError) as raised:
        nginx.NginxContainer.of("tripod")
    assert raised.value.fix == "./stack up"
