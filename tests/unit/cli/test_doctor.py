"""Unit tests of ./stack doctor: each check finds its problem in made-up facts, and none in those of a healthy stack."""

import copy
import json

import pytest

from cli.commands import doctor
from cli.doctor import checks, facts
from cli.doctor.facts import Facts, Response
from tests.support.wsgi import python, settings

GIB = 2**30


def container(**more) -> dict:
    state = {"Status": "running", "Health": {"Status": "healthy"}}
    return {
        "State": state,
        "RestartCount": 0,
        "HostConfig": {"Memory": GIB // 2},
    } | more


def folder(owner: int, free: int = 50 * GIB) -> dict:
    return {"owner": owner, "free": free, "size": 100 * GIB}


@pytest.fixture
def healthy() -> Facts:
    """The facts of a healthy stack."""
    in_container = {
        "settings": settings(WEB_CONCURRENCY="2", ALLOWED_HOSTS="app.example.com"),
        "secret_length": 64,
        "database": "sqlite",
        "somaxconn": 4096,
        "open_files": 20000,
        "uid": 10001,
        "memory": GIB // 8,
        "oom_kills": 0,
        "connect_error": "",
        "folders": {name: folder(10001) for name in ("/var/lib/tripod", "/run/tripod", "/var/lib/tripod-assets")},
    }
    lines = [{"path": "/", "forwarded_for": "", "client": f"192.0.2.{number}"} for number in range(30)]
    return Facts(
        inspected={
            "nginx": container(),
            "web": container(),
            "migrate": {"State": {"ExitCode": 0}, "RestartCount": 0},
        },
        in_container={"nginx": copy.deepcopy(in_container), "web": in_container},
        pages={
            "liveness": Response(200),
            "front page": Response(200),
        },
        access_log=lines,
        disk=(50 * GIB, 100 * GIB),
        clock_is_synchronized=True,
    )


def problems(gathered: Facts) -> dict[str, str]:
    """The checks that found a problem, with its level."""
    return {name: level for level, name, _, _ in doctor.run_checks(gathered) if level != "ok"}


def test_healthy(healthy):
    """A healthy stack has no problems."""
    assert problems(healthy) == {}


# Check → a change of the facts that must make it fail.
FAILURES = {
    "containers": lambda f: f.inspected["web"]["State"].update(Health={"Status": "unhealthy"}),
    "migrations": lambda f: f.inspected["migrate"]["State"].update(ExitCode=1),
    "socket": lambda f: f.in_container["nginx"].update(connect_error="Permission denied"),
    "responses": lambda f: f.pages.update(liveness=Response(301)),
    "shared settings": lambda f: f.in_container["nginx"]["settings"].update(MAX_BODY_SIZE="1m"),
    "trusted proxies": lambda f: [line.update(forwarded_for="203.0.113.1") for line in f.access_log],
    "certificate": lambda f: setattr(f, "certificate_days", 3.0),
    "request queue": lambda f: f.in_container["web"].update(somaxconn=64),
    "memory": lambda f: f.in_container["web"].update(oom_kills=1),
    "open files": lambda f: f.in_container["nginx"].update(open_files=1024),
    "disk": lambda f: setattr(f, "disk", (GIB // 2, 100 * GIB)),
    "volume owners": lambda f: f.in_container["web"]["folders"].update({"/var/lib/tripod": folder(0)}),
    "secret key": lambda f: f.in_container["web"].update(secret_length=0),
    "clock": lambda f: setattr(f, "clock_is_behind", True),
}
DOUBTS = {
    "restarts": lambda f: f.inspected["web"].update(RestartCount=2),
    "allowed hosts": lambda f: f.in_container["web"]["settings"].update(ALLOWED_HOSTS="*"),
    "clock": lambda f: setattr(f, "clock_is_synchronized", False),
}


@pytest.mark.parametrize("name", FAILURES)
def test_failure_is_an_error(healthy, name):
    """Each failure is reported as an error by its own check, and by no other."""
    FAILURES[name](healthy)
    assert problems(healthy) == {name: "error"}


@pytest.mark.parametrize("name", DOUBTS)
def test_doubt_is_a_warning(healthy, name):
    """A finding that may be intended is reported as a warning."""
    DOUBTS[name](healthy)
    assert problems(healthy) == {name: "warning"}


def test_engine_on_another_machine(healthy):
    """Without the engine's disk and without adjtimex (macOS, a remote engine), the folders and nothing else count."""
    healthy.disk, healthy.clock_is_synchronized = None, None
    assert problems(healthy) == {}
    healthy.in_container["web"]["folders"]["/tmp"] = folder(0, free=2**20)
    assert problems(healthy) == {"disk": "error"}


def test_clock_is_unknown_without_adjtimex(monkeypatch):
    """On a system without adjtimex, macOS for example, the clock is not checked."""
    monkeypatch.setattr(facts.ctypes, "CDLL", lambda name: object())
    assert facts._clock_is_synchronized() is None


def test_too_few_connections(healthy):
    """PostgreSQL's connections are calculated for two containers, as during a release."""
    healthy.in_container["web"]["database"] = "postgresql"
    assert problems(healthy) == {}
    healthy.in_container["web"]["settings"]["WEB_CONCURRENCY"] = "4"
    healthy.in_container["web"]["settings"]["WEB_THREADS"] = "256"
    healthy.inspected["web"]["HostConfig"]["Memory"] = GIB
    healthy.in_container["web"]["somaxconn"] = 65535
    assert problems(healthy) == {}
    healthy.in_container["web"]["settings"]["WEB_CONCURRENCY"] = "6"
    assert problems(healthy) == {"database connections": "warning"}


@pytest.mark.parametrize(
    ("trusted", "forwarded", "level"),
    [("1", "", None), ("2", "203.0.113.1", None), ("2", "", "error"), ("1", "203.0.113.1, 198.51.100.1", "error")],
)
def test_proxies(healthy, trusted, forwarded, level):
    """TRUSTED_PROXIES is compared with the X-Forwarded-For headers of the access log."""
    for in_container in healthy.in_container.values():
        in_container["settings"]["TRUSTED_PROXIES"] = trusted
    for line in healthy.access_log:
        line["forwarded_for"] = forwarded
    assert problems(healthy).get("trusted proxies") == level


def test_every_check_is_tested():
    """Every check has a failure or a doubt in this file, and a docstring."""
    assert set(checks.CHECKS) == set(FAILURES) | set(DOUBTS) | {"database connections"}
    assert all(check.__doc__ for check in checks.CHECKS.values())


def test_empty_facts():
    """A stack about which nothing can be read is reported with errors, not with a traceback."""
    assert "error" in {level for level, *_ in doctor.run_checks(Facts())}


def test_container_facts_contain_no_secrets():
    """The facts of a container contain neither the secret key nor the password of the database."""
    secrets = {"SECRET_KEY": "canary-key-0123456789", "DATABASE_URL": "postgresql://u:canary-password@host/db"}
    done = python("import runpy; runpy.run_path('cli/doctor/container_facts.py')", **secrets)
    assert done.returncode == 0, done.stderr
    assert "canary" not in done.stdout
    assert json.loads(done.stdout)["database"] == "postgresql"
