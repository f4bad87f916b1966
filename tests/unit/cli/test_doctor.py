"""Unit tests of ./stack doctor: each check finds its problem in made-up facts, and none in those of a healthy stack."""

import argparse
import copy
import json
import time

import pytest

from cli import compose, dotenv, engine
from cli.commands import doctor
from cli.doctor import checks, facts
from cli.doctor.facts import Facts, Response
from deploy.errors import StackError, StackErrors
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
        "packages_updated": time.time() - 29 * 86400,
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
    "settings": lambda f: f.setting_errors.append(StackError("WEB_THREADS: 'x' is not a whole number.", "", "")),
    "containers": lambda f: f.inspected["web"]["State"].update(Health={"Status": "unhealthy"}),
    "migrations": lambda f: f.inspected["migrate"]["State"].update(ExitCode=1),
    "socket": lambda f: f.in_container["nginx"].update(connect_error="Permission denied"),
    "responses": lambda f: f.pages.update(liveness=Response(301)),
    "shared settings": lambda f: f.in_container["nginx"]["settings"].update(MAX_BODY_SIZE="1m"),
    "trusted proxies": lambda f: [each["settings"].update(TRUSTED_PROXIES="2") for each in f.in_container.values()],
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
    "packages": lambda f: f.in_container["nginx"].update(packages_updated=f.now - 32 * 86400),
    "published port": lambda f: publish(f, "::"),
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
    [("1", "", None), ("2", "203.0.113.1", None), ("2", "", "error"), ("1", "203.0.113.1, 198.51.100.1", "warning")],
)
def test_proxies(healthy, trusted, forwarded, level):
    """TRUSTED_PROXIES is compared with the X-Forwarded-For headers of the access log."""
    for in_container in healthy.in_container.values():
        in_container["settings"]["TRUSTED_PROXIES"] = trusted
    for line in healthy.access_log:
        line["forwarded_for"] = forwarded
    assert problems(healthy).get("trusted proxies") == level


def test_clients_cannot_raise_trusted_proxies(healthy):
    """A client with a public address that sends X-Forwarded-For does not make the doctor recommend to trust it."""
    for line in healthy.access_log[1:]:
        line["forwarded_for"] = "203.0.113.1"
        line["client"] = "8.8.8.8"
    assert "trusted proxies" not in problems(healthy)


def publish(facts: Facts, *addresses: str, ipv6: str = "") -> None:
    """Publish the port on these addresses of the host, from a network with or without IPv6."""
    bindings = [{"HostIp": address, "HostPort": "8080"} for address in addresses]
    facts.inspected["nginx"]["NetworkSettings"] = {
        "Ports": {"8080/tcp": bindings},
        "Networks": {"edge": {"GlobalIPv6Address": ipv6}},
    }


@pytest.mark.parametrize(
    ("trusted", "addresses", "ipv6", "level"),
    [
        ("1", ["0.0.0.0"], "", None),
        ("1", ["0.0.0.0", "::"], "", "warning"),  # all IPv6 clients are one
        ("1", ["0.0.0.0", "::"], "fd00::2", None),
        ("2", ["0.0.0.0"], "", "warning"),  # open past the proxy
        ("2", ["::"], "fd00::2", "warning"),
        ("2", ["127.0.0.1"], "", None),
        ("2", [], "", None),
    ],
)
def test_published_port(healthy, trusted, addresses, ipv6, level):
    """With a proxy in front the port is open to it alone, and IPv6 is published only if the network has it."""
    for in_container in healthy.in_container.values():
        in_container["settings"]["TRUSTED_PROXIES"] = trusted
    for line in healthy.access_log:
        line["forwarded_for"] = "203.0.113.1" if trusted == "2" else ""
    publish(healthy, *addresses, ipv6=ipv6)
    assert problems(healthy).get("published port") == level


MIB = 2**20


def set_web(**values):
    """A change of what the web container reports about itself."""
    return lambda f: f.in_container["web"].update(values)


def set_web_settings(**values):
    """A change of the settings of the web container."""
    return lambda f: f.in_container["web"]["settings"].update(values)


def set_memory_limit(limit: int):
    """A change of the memory limit of the web container; its 2 workers need 128 MiB each."""
    return lambda f: f.inspected["web"]["HostConfig"].update(Memory=limit)


def set_free_space(free: int, size: int):
    """A change of the free space of a folder of the web container."""
    return lambda f: f.in_container["web"]["folders"].update({"/tmp": {"owner": 0, "free": free, "size": size}})


def set_connections(workers: int, threads: int):
    """A change to PostgreSQL, which needs 2 * workers * threads + 3 connections."""

    def change(f):
        f.in_container["web"]["database"] = "postgresql"
        f.in_container["web"]["settings"].update(WEB_CONCURRENCY=str(workers), WEB_THREADS=str(threads))
        f.inspected["web"]["HostConfig"]["Memory"] = GIB * 2

    return change


def set_access_log(requests: int, through_proxy: int, trusted: int = 1, clients: int = 30):
    """A change of the access log and of TRUSTED_PROXIES."""

    def change(f):
        f.access_log[:] = [
            {
                "path": "/",
                "forwarded_for": "203.0.113.1" if number < through_proxy else "",
                "client": f"192.0.2.{number % clients}",
            }
            for number in range(requests)
        ]
        for facts_in_container in f.in_container.values():
            facts_in_container["settings"]["TRUSTED_PROXIES"] = str(trusted)

    return change


# (check, the last facts that are accepted, the first that are not, level). The numbers are literals, not the constants
# of checks.py: a changed threshold must make a test fail.
THRESHOLDS = {
    "certificate days": (
        "certificate",
        lambda f: setattr(f, "certificate_days", 14.0),
        lambda f: setattr(f, "certificate_days", 13.99),
        "error",
    ),
    "queue": ("request queue", set_web_settings(WEB_QUEUE="4096"), set_web_settings(WEB_QUEUE="4097"), "error"),
    "memory per worker": ("memory", set_memory_limit(256 * MIB), set_memory_limit(256 * MIB - 1), "error"),
    "memory in use": (
        "memory",
        set_web(memory=512 * MIB * 9 // 10),
        set_web(memory=512 * MIB * 9 // 10 + 1),
        "warning",
    ),
    "memory limit": ("memory", set_memory_limit(512 * MIB), set_memory_limit(0), "warning"),
    "killed processes": ("memory", set_web(oom_kills=0), set_web(oom_kills=1), "error"),
    "open files": (
        "open files",
        lambda f: f.in_container["nginx"].update(open_files=8192),
        lambda f: f.in_container["nginx"].update(open_files=8191),
        "error",
    ),
    "large disk, 5 %": (
        "disk",
        lambda f: setattr(f, "disk", (5 * GIB, 100 * GIB)),
        lambda f: setattr(f, "disk", (5 * GIB - 1, 100 * GIB)),
        "error",
    ),
    "small disk, 1 GiB": (
        "disk",
        lambda f: setattr(f, "disk", (GIB, 10 * GIB)),
        lambda f: setattr(f, "disk", (GIB - 1, 10 * GIB)),
        "error",
    ),
    "large folder, 64 MiB": (
        "disk",
        set_free_space(64 * MIB, 100 * GIB),
        set_free_space(64 * MIB - 1, 100 * GIB),
        "error",
    ),
    "small folder, half": ("disk", set_free_space(8 * MIB, 16 * MIB), set_free_space(8 * MIB - 1, 16 * MIB), "error"),
    "secret key": ("secret key", set_web(secret_length=16), set_web(secret_length=15), "error"),
    "connections": ("database connections", set_connections(12, 4), set_connections(7, 7), "warning"),
    "connections per worker": ("database connections", set_connections(4, 64), set_connections(5, 64), "warning"),
    "restarts": (
        "restarts",
        lambda f: f.inspected["web"].update(RestartCount=0),
        lambda f: f.inspected["web"].update(RestartCount=1),
        "warning",
    ),
    "exit status of migrations": (
        "migrations",
        lambda f: f.inspected["migrate"]["State"].update(ExitCode=0),
        lambda f: f.inspected["migrate"]["State"].update(ExitCode=1),
        "error",
    ),
    "status of the front page": (
        "responses",
        lambda f: f.pages.update({"front page": Response(499)}),
        lambda f: f.pages.update({"front page": Response(500)}),
        "error",
    ),
    "status of the liveness": (
        "responses",
        lambda f: f.pages.update(liveness=Response(200)),
        lambda f: f.pages.update(liveness=Response(204)),
        "error",
    ),
    "requests in the log": ("trusted proxies", set_access_log(19, 19), set_access_log(20, 20), "warning"),
    "half through an untrusted proxy": ("trusted proxies", set_access_log(30, 15), set_access_log(30, 16), "warning"),
    "half past a trusted proxy": ("trusted proxies", set_access_log(30, 15, 2), set_access_log(30, 14, 2), "error"),
    "requests of one client": (
        "trusted proxies",
        set_access_log(200, 0, clients=1),
        set_access_log(201, 0, clients=1),
        "warning",
    ),
    "number of clients": (
        "trusted proxies",
        set_access_log(201, 0, clients=2),
        set_access_log(201, 0, clients=1),
        "warning",
    ),
}


@pytest.mark.parametrize("name", THRESHOLDS)
def test_thresholds_are_exact(healthy, name):
    """Each check accepts the last value within its threshold and reports the first value beyond it."""
    check, within, beyond, level = THRESHOLDS[name]
    within(healthy)
    assert problems(healthy) == {}
    beyond(healthy)
    assert problems(healthy) == {check: level}


@pytest.mark.parametrize(("state", "synchronized"), [(0, True), (4, True), (5, False)])
def test_kernel_reports_a_clock_that_is_not_synchronized(monkeypatch, state, synchronized):
    """The clock is not synchronized if adjtimex(2) returns TIME_ERROR (5), and otherwise it is."""
    library = type("Library", (), {"adjtimex": staticmethod(lambda request: state)})
    monkeypatch.setattr(facts.ctypes, "CDLL", lambda name: library)
    assert facts._clock_is_synchronized() is synchronized


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


@pytest.fixture
def no_containers(monkeypatch, tmp_path) -> dict:
    """A project that is not running, whose .env contains an unquoted $; its configuration as Compose shows it."""
    config = {"name": "none", "services": {"nginx": {"ports": []}, "web": {"environment": {"SCRIPT_NAME": "/shop"}}}}
    monkeypatch.setattr(dotenv, "PATH", tmp_path / ".env")
    dotenv.PATH.write_text("SECRET_KEY=hun$ter2x\n")
    monkeypatch.setattr(engine, "require", lambda: None)
    monkeypatch.setattr(compose, "config", lambda: config)
    monkeypatch.setattr(compose, "containers", lambda name: [])
    return config


def test_settings_of_the_next_start_are_facts(no_containers):
    """The doctor finds settings that ./stack up refuses: a $ in .env that Compose would replace, and SCRIPT_NAME."""
    errors = [error.error for error in facts.gather(no_containers, "", "").setting_errors]
    assert [error.partition(":")[0] for error in errors] == ["SCRIPT_NAME", "SECRET_KEY"]


def test_settings_are_checked_before_the_stack_was_started(no_containers):
    """Without containers, the doctor reports invalid settings, not only that nothing runs."""
    with pytest.raises(StackErrors) as raised:
        doctor.run(argparse.Namespace(url=None))
    assert "SCRIPT_NAME" in str(raised.value) and "SECRET_KEY" in str(raised.value)
