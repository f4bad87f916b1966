"""Unit tests of rollouts: what is read from Nginx and Docker, the lock, and when a handover is refused."""

import json
import subprocess

import pytest

from cli import compose, console, nginx, project, rollout
from cli.commands import switch
from deploy.errors import StackError

UNIX = """Num       RefCount Protocol Flags    Type St Inode Path
0000000000000001: 00000003 00000000 00000000 0001 03 74304
0000000000000002: 00000003 00000000 00000000 0001 03 87396 /run/tripod/old.sock
0000000000000003: 00000003 00000000 00000000 0001 02 87393 /run/tripod/old.sock
0000000000000004: 00000002 00000000 00010000 0001 01 87394 /run/tripod/old.sock
0000000000000005: 00000003 00000000 00000000 0001 03 87394 /run/tripod/new.sock
"""


def docker_prints(monkeypatch, stdout):
    """Let every docker command print this text."""
    monkeypatch.setattr(console, "capture", lambda argv, **_: subprocess.CompletedProcess(argv, 0, stdout, ""))


def test_connections_are_counted(monkeypatch):
    """Connections in the backlog count like accepted ones; other sockets and the listening socket do not count."""
    docker_prints(monkeypatch, UNIX)
    assert [nginx.NginxContainer("nginx").connections(host) for host in ("old", "new", "none")] == [2, 1, 0]


@pytest.mark.parametrize(("stdout", "active"), [("abc.sock\n1700000000\n", ("abc", 1700000000)), ("", ("", 0))])
def test_active_container_is_read_from_the_link(monkeypatch, stdout, active):
    """The link names the active container by its hostname, and its own age is the time since the promotion.

    Without a link no container is active.
    """
    docker_prints(monkeypatch, stdout)
    assert nginx.NginxContainer("nginx").active() == active


def test_responses_are_counted_from_the_log(monkeypatch):
    """Only requests that reached a web container count, by their last response; lines that are not JSON are skipped."""
    statuses = ("200", "500", "-", "", "502, 200", "502")
    lines = [json.dumps({"logger": "nginx.access", "app_status": status}) for status in statuses]
    docker_prints(monkeypatch, "\n".join([*lines, "2026/11/21 [error] no JSON", "[1]"]))
    assert nginx.NginxContainer("nginx").responses(0) == (4, 2)


def test_concurrent_rollout_is_refused():
    """A second rollout is refused while the first one holds the lock, and runs after it."""
    with rollout.exclusive():
        with pytest.raises(StackError, match="is running in this folder"), rollout.exclusive():
            raise AssertionError("two rollouts at the same time")
    with rollout.exclusive():
        pass


def test_plain_processes_are_refused(monkeypatch):
    """A stack of plain processes cannot hand over; the error names the command that works there."""
    monkeypatch.setattr("cli.native.running", lambda: {"pid": 1})
    with pytest.raises(StackError) as raised:
        switch.run(None)
    assert "plain processes" in raised.value.error
    assert "./stack up --native --server" in raised.value.fix


def test_handover_requires_nginx(monkeypatch):
    """Without a running Nginx (Apache alone, or a stopped stack) a handover is an error."""
    monkeypatch.setattr(compose, "containers", lambda stack: [])
    with pytest.raises(StackError) as raised:
        nginx.NginxContainer.of("tripod")
    assert raised.value.fix == "./stack up"


@pytest.mark.parametrize(
    ("requests", "errors", "requests_before", "errors_before", "too_many"),
    [
        (0, 0, 0, 0, False),
        (2, 2, 100, 0, False),  # fewer than 3 errors, whatever their share is
        (3, 3, 100, 0, True),
        (3, 3, 0, 0, True),  # no requests before the handover
        (60, 3, 100, 0, False),  # exactly 5 %
        (59, 3, 100, 0, True),
        (10_000, 500, 100, 0, False),
        (10_000, 501, 100, 0, True),
        (100, 5, 100, 1, False),  # twice the share before is less than 5 %
        (100, 6, 100, 1, True),
        (100, 20, 100, 10, False),  # exactly twice the share before
        (100, 21, 100, 10, True),
        (100, 100, 100, 50, False),  # at least half were errors before: the new container is not worse than twice
    ],
)
def test_errors_that_lead_to_a_rollback(requests, errors, requests_before, errors_before, too_many):
    """A release is rolled back for at least 3 errors that are more than 5 % of its responses, and more than twice the
    share before the handover.
    """
    assert rollout._has_too_many_errors(requests, errors, requests_before, errors_before) is too_many


class FakeNginx:
    """An Nginx container with these numbers of (responses, errors) before and after the handover."""

    def __init__(self, before: tuple, after: tuple):
        self.before, self.after, self.periods = before, after, []

    def responses(self, since, until=None):
        self.periods.append((since, until))
        return self.before if until else self.after


@pytest.fixture
def hand_over(monkeypatch):
    """Return a function that hands over to a running container, behind this Nginx, and watches it for a moment."""
    container = compose.Container("2", "web", "", "running", "healthy", 0, "", name="new")
    monkeypatch.setattr(compose, "containers", lambda stack: [container])
    monkeypatch.setattr(compose, "log_tail", lambda container: "its last line")
    docker_prints(monkeypatch, "")

    def hand_over(fake: FakeNginx) -> None:
        monkeypatch.setattr(nginx.NginxContainer, "of", lambda stack: fake)
        rollout._hand_over("tripod", container, watch_duration=0.01)

    return hand_over


def test_watch_rolls_back_a_release_with_errors(hand_over):
    """After the handover, a release with too many errors fails, with the counts before and after; others pass."""
    hand_over(FakeNginx((100, 0), (59, 2)))
    with pytest.raises(StackError, match="3 of its first 59 responses were a 5xx, compared with 0 of 100 before"):
        hand_over(FakeNginx((100, 0), (59, 3)))
    hand_over(FakeNginx((100, 10), (59, 3)))


def test_watch_compares_with_the_time_before_the_handover(hand_over):
    """A release is compared with the 30 s before its handover, and its own responses are counted from there on."""
    fake = FakeNginx((0, 0), (0, 0))
    hand_over(fake)
    (before, handover), (since, until) = fake.periods
    assert handover - before == pytest.approx(30)
    assert (since, until) == (handover, None)


def test_smoke_check_runs_for_its_duration(monkeypatch):
    """The smoke check in the new container gets its duration, and Docker waits longer than that for it."""
    calls = {}
    container = compose.Container("2", "web", "", "running", "healthy", 0, "", name="new")
    monkeypatch.setattr(compose, "containers", lambda stack: [container])

    def capture(argv, timeout=60):
        calls[timeout] = argv
        return subprocess.CompletedProcess(argv, 0, "", "")

    monkeypatch.setattr(console, "capture", capture)
    rollout._smoke_check("tripod", container, ["/search"], 120)
    ((timeout, argv),) = calls.items()
    assert argv[-4:] == ["-m", "deploy.smoke_check", "120", "/search"]
    assert timeout > 120


CONFIGURED = {"services": {"web": {"environment": {"WSGI_SERVER": None}}}}


@pytest.mark.parametrize(
    ("environment", "saved"), [({}, []), ({"WSGI_SERVER": ""}, []), ({"WSGI_SERVER": "uwsgi"}, ["uwsgi"])]
)
def test_repair_saves_the_server_that_was_chosen(monkeypatch, environment, saved):
    """An interrupted switch that is complete but for saving its server is completed; an unset server is not saved.

    Compose passes settings by name, so a setting that is not set is missing in a container and None in the config.
    """
    names = []
    web = {"id": "1", "service": "web", "image": "", "state": "running", "health": "", "exit_code": 0, "since": ""}
    active = compose.Container(**web, hostname="new", environment=environment)
    old = compose.Container(**web | {"id": "2"}, hostname="old")
    monkeypatch.setattr(compose, "containers", lambda stack: [old, active])
    monkeypatch.setattr(compose, "config", lambda: CONFIGURED)
    monkeypatch.setattr(nginx.NginxContainer, "of", lambda stack: nginx.NginxContainer("nginx"))
    monkeypatch.setattr(nginx.NginxContainer, "active", lambda self: ("new", 1700000000))
    monkeypatch.setattr(project, "save_server", names.append)
    monkeypatch.setattr(rollout, "retire_others", lambda stack, active: None)
    assert rollout.repair("tripod") is active
    assert names == saved
