"""./stack doctor: each check finds what it is for, on a facts made up for it, and nothing on a healthy one."""

import copy
import json

import pytest

from cli.commands import doctor
from cli.doctor import checks
from cli.doctor.facts import Facts, Response
from tests.support.wsgi import python, settings

GIB = 2**30


def container(signal: str, **more) -> dict:
    state = {"Status": "running", "Health": {"Status": "healthy"}}
    return {
        "State": state,
        "RestartCount": 0,
        "Config": {"StopSignal": signal, "StopTimeout": 65},
        "HostConfig": {"Memory": GIB // 2},
    } | more


def folder(owner: int, free: int = 50 * GIB) -> dict:
    return {"owner": owner, "free": free, "size": 100 * GIB}


@pytest.fixture
def healthy() -> Facts:
    """A facts that nothing is wrong with."""
    inside = {
        "settings": settings(WEB_CONCURRENCY="2", ALLOWED_HOSTS="app.example.com"),
        "secret_length": 64,
        "database": "sqlite",
        "somaxconn": 4096,
        "files": 20000,
        "shm": "tmpfs",
        "root_is_read_only": True,
        "memory": GIB // 8,
        "out_of_memory": 0,
        "no_way_to_web": "",
        "folders": {name: folder(10001) for name in ("/var/lib/tripod", "/run/tripod", "/var/lib/tripod-assets")},
    }
    lines = [{"path": "/", "forwarded_for": "", "client": f"192.0.2.{number}"} for number in range(30)]
    return Facts(
        inspected={
            "nginx": container("SIGQUIT"),
            "web": container("SIGTERM"),
            "migrate": {"State": {"ExitCode": 0}, "RestartCount": 0},
        },
        inside={"nginx": copy.deepcopy(inside), "web": inside},
        pages={
            "alive": Response(200),
            "first": Response(200),
            "large cookie": Response(200),
            "no file": Response(404, {"cache-control": "no-store"}),
        },
        access_log=lines,
        disk=(50 * GIB, 100 * GIB),
    )


def found(facts: Facts) -> dict[str, str]:
    """The names of the checks that found something, with how bad it is."""
    return {title: level for level, title, _, _ in doctor.judge(facts) if level != "ok"}


def test_healthy(healthy):
    """Nothing is found on a healthy stack."""
    assert found(healthy) == {}


# What is done to the facts, and the check that must name it.
FAULTS = {
    "containers": lambda p: p.inspected["web"]["State"].update(Health={"Status": "unhealthy"}),
    "migrations": lambda p: p.inspected["migrate"]["State"].update(ExitCode=1),
    "stop signals": lambda p: p.inspected["nginx"]["Config"].update(StopSignal="SIGTERM"),
    "time to stop": lambda p: p.inspected["web"]["Config"].update(StopTimeout=10),
    "read-only roots": lambda p: p.inside["web"].update(root_is_read_only=False),
    "socket": lambda p: p.inside["nginx"].update(no_way_to_web="Permission denied"),
    "answer": lambda p: p.pages.update(alive=Response(301)),
    "large cookies": lambda p: p.pages.update({"large cookie": Response(502)}),
    "missing static files": lambda p: p.pages["no file"].headers.update({"cache-control": "public, immutable"}),
    "limits": lambda p: p.inside["nginx"]["settings"].update(MAX_BODY_SIZE="1m"),
    "proxies in front": lambda p: [line.update(forwarded_for="203.0.113.1") for line in p.access_log],
    "certificate": lambda p: setattr(p, "certificate_days", 3.0),
    "queue": lambda p: p.inside["web"].update(somaxconn=64),
    "/dev/shm": lambda p: p.inside["web"].update(shm="overlay"),
    "workers and memory": lambda p: p.inside["web"].update(out_of_memory=1),
    "open files": lambda p: p.inside["nginx"].update(files=1024),
    "disk": lambda p: setattr(p, "disk", (GIB // 2, 100 * GIB)),
    "volumes' owners": lambda p: p.inside["web"]["folders"].update({"/var/lib/tripod": folder(0)}),
    "secret key": lambda p: p.inside["web"].update(secret_length=0),
    "clock": lambda p: setattr(p, "clock_is_behind", True),
}
DOUBTS = {
    "restarts": lambda p: p.inspected["web"].update(RestartCount=2),
    "host names": lambda p: p.inside["web"]["settings"].update(ALLOWED_HOSTS="*"),
    "clock": lambda p: setattr(p, "clock_is_kept", False),
}


@pytest.mark.parametrize("name", FAULTS)
def test_fault_is_named(healthy, name):
    """Each fault is found as bad by the check that is for it, and by no other."""
    FAULTS[name](healthy)
    assert found(healthy) == {name: "bad"}


@pytest.mark.parametrize("name", DOUBTS)
def test_doubt_is_named(healthy, name):
    """What may be meant so is named without being called bad."""
    DOUBTS[name](healthy)
    assert found(healthy) == {name: "doubtful"}


def test_too_few_connections(healthy):
    """PostgreSQL's connections are counted for twice the workers, as during a release."""
    healthy.inside["web"]["database"] = "postgresql"
    assert found(healthy) == {}
    healthy.inside["web"]["settings"]["WEB_CONCURRENCY"] = "4"
    healthy.inside["web"]["settings"]["WEB_THREADS"] = "256"
    healthy.inspected["web"]["HostConfig"]["Memory"] = GIB
    healthy.inside["web"]["somaxconn"] = 65535
    assert found(healthy) == {}
    healthy.inside["web"]["settings"]["WEB_CONCURRENCY"] = "6"
    assert found(healthy) == {"database": "doubtful"}


@pytest.mark.parametrize(
    ("trusted", "forwarded", "level"),
    [("1", "", None), ("2", "203.0.113.1", None), ("2", "", "bad"), ("1", "203.0.113.1, 198.51.100.1", "bad")],
)
def test_proxies(healthy, trusted, forwarded, level):
    """The number of trusted proxies is held against the headers that arrive."""
    for inside in healthy.inside.values():
        inside["settings"]["TRUSTED_PROXIES"] = trusted
    for line in healthy.access_log:
        line["forwarded_for"] = forwarded
    assert found(healthy).get("proxies in front") == level


def test_every_check_has_a_fault():
    """No check goes without a test."""
    names = [check.__doc__ for check in checks.CHECKS]
    assert len(names) == len(set(names)) and set(names) == set(FAULTS) | set(DOUBTS) | {"database"}


def test_nothing_runs():
    """A stack of which nothing can be seen gives findings, and no traceback."""
    assert "bad" in {level for level, *_ in doctor.judge(Facts())}


def test_inside_keeps_secrets():
    """What is asked inside of a container comes out without the key and the database's password."""
    given = {"SECRET_KEY": "canary-key-0123456789", "DATABASE_URL": "postgresql://u:canary-password@host/db"}
    done = python("import runpy; runpy.run_path('cli/doctor/container_facts.py')", **given)
    assert done.returncode == 0, done.stderr
    assert "canary" not in done.stdout
    assert json.loads(done.stdout)["database"] == "postgresql"
