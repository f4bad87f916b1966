"""Unit tests of rollouts: what is read from Nginx and Docker, the lock, and when a handover is refused."""

import os
import subprocess

import pytest

from cli import compose, console, nginx, project, rollout
from cli.commands import switch
from deploy import smoke_check
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


def test_concurrent_rollout_is_refused():
    """A second rollout is refused while the first one holds the lock, and runs after it."""
    with rollout.exclusive():
        with pytest.raises(StackError, match="is running in this folder"), rollout.exclusive():
            raise AssertionError("two rollouts at the same time")
    with rollout.exclusive():
        pass


def test_lock_survives_a_checkout_of_the_sources(monkeypatch, tmp_path):
    """A `git checkout` that replaces all files during a rollout leaves it locked, and the error of the second rollout
    names the first one.
    """
    monkeypatch.setattr(rollout, "ROOT", tmp_path)
    for name in ("docker-compose.yml", "Dockerfile"):
        (tmp_path / name).write_text("")
    with rollout.exclusive():
        for path in tmp_path.iterdir():
            if path.is_file():
                path.unlink()
                path.write_text("")
        with pytest.raises(StackError) as raised, rollout.exclusive():
            raise AssertionError("two rollouts at the same time")
    assert f"(PID {os.getpid()}) has been running since" in raised.value.cause


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


NEW, OLD = (compose.Container(name, "web", "", "running", "healthy", 0, "", name=name) for name in ("new", "old"))


@pytest.fixture
def judge(monkeypatch):
    """Return a function that runs a step of the rollout with these results of deploy/smoke_check.py by container."""
    monkeypatch.setattr(compose, "containers", lambda stack: [NEW, OLD])
    monkeypatch.setattr(compose, "log_tail", lambda container: "its last line")

    def judge(step, **results: tuple[int, str]) -> list[list[str]]:
        calls = []

        def capture(argv, timeout=60):
            calls.append(argv)
            status, reason = results.get(argv[2], (0, ""))
            return subprocess.CompletedProcess(argv, status, "", f"{reason}\n")

        monkeypatch.setattr(console, "capture", capture)
        step("tripod", OLD, NEW, [], 4)
        return calls

    return judge


BROKEN_FRONT = (smoke_check.BROKEN, "GET / for the host localhost answered 500")
BROKEN_READY = (smoke_check.BROKEN, "GET /readyz for the host localhost answered 503")
BUSY_FRONT = (smoke_check.BUSY, "GET / got no answer (TimeoutError)")


@pytest.mark.parametrize("step", [rollout._smoke_check, rollout._watch])
@pytest.mark.parametrize(
    ("new", "old", "fails"),
    [
        ((0, ""), (0, ""), False),
        (BROKEN_FRONT, (0, ""), True),
        (BROKEN_FRONT, BROKEN_FRONT, False),
        (BROKEN_FRONT, BROKEN_READY, True),  # another path
        (BROKEN_FRONT, BUSY_FRONT, True),  # the old one is only busy
        (BUSY_FRONT, BROKEN_FRONT, False),
        (BUSY_FRONT, BUSY_FRONT, False),  # the machine is overloaded
        (BUSY_FRONT, (0, ""), True),
        ((137, ""), (0, ""), True),  # killed
    ],
)
def test_new_container_is_compared_with_the_old_one(judge, step, new, old, fails):
    """A release is rolled back if the stack's own request fails in the new container and not alike in the old one."""
    if fails:
        with pytest.raises(StackError) as raised:
            judge(step, new=new, old=old)
        assert raised.value.error == (new[1] or console.NO_OUTPUT)
        assert "its last line" in raised.value.cause
    else:
        judge(step, new=new, old=old)


def test_responses_to_clients_are_not_counted(judge):
    """The watch sends requests of its own and reads no response of a client: clients can cause any status."""
    (watch,) = judge(rollout._watch)
    assert watch == ["docker", "exec", "new", "python3", "-m", "deploy.smoke_check", "--watch", "4", "/"]


def test_smoke_check_runs_for_its_duration(monkeypatch):
    """The smoke check in the new container gets its duration, and Docker waits longer than that for it."""
    calls = {}
    monkeypatch.setattr(compose, "containers", lambda stack: [NEW])

    def capture(argv, timeout=60):
        calls[timeout] = argv
        return subprocess.CompletedProcess(argv, 0, "", "")

    monkeypatch.setattr(console, "capture", capture)
    rollout._smoke_check("tripod", OLD, NEW, ["/search"], 120)
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
