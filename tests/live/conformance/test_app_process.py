"""The process that an app lives in is the same on every server, and its threads are finished at a stop."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.live.conformance.everywhere import fetch, on_each
from tests.live.conformance.fleet import Fleet
from tests.live.stack import Stack, docker

# Of each container: not compared.
OWN = {"HOSTNAME", "WSGI_SERVER", "SOCKET", "SECRET_KEY"}
SETTINGS_WITHOUT_NGINX = {
    "ALLOWED_METHODS",
    "APACHE_FRONT",
    "BACKLOG",
    "KEEP_ALIVE",
    "PORT",
    "REQUEST_TIMEOUT",
    "TRUSTED_PROXIES",
}
FOR_ONE_SERVER = {
    "GUNICORN_CMD_ARGS": "--bind=0.0.0.0:8000 --workers=1",
    "FORWARDED_ALLOW_IPS": "*",
    "UWSGI_HTTP_SOCKET": "0.0.0.0:8000",
    "UWSGI_PROCESSES": "1",
}


@pytest.fixture(scope="module")
def own_fleet(tmp_path_factory):
    """Stacks whose environment contains options of single servers."""
    fleet = Fleet()
    file = tmp_path_factory.mktemp("process") / "environ.yml"
    file.write_text(json.dumps({"services": {"web": {"environment": FOR_ONE_SERVER}}}))
    for server in fleet.servers:
        server.stack._files.append(str(file))
    try:
        yield fleet.start()
    finally:
        fleet.down()


def reports(fleet) -> dict[str, dict]:
    """What the app reports about its process, by server, without what differs between containers."""

    def report(server) -> dict:
        found = json.loads(server.get("/report-process"))
        found["environ"] = {name: value for name, value in found["environ"].items() if name not in OWN}
        return found

    return fleet.on_each(report)


def test_process_is_the_same(own_fleet):
    """Environment, HOME, locale, umask, arguments, import path and flags are the same for the app on every server."""
    found = reports(own_fleet)
    (_, first), *others = found.items()
    differences = [
        f"{server}: {name} is {report[name]!r}, not {first[name]!r}"
        for server, report in others
        for name in first
        if report[name] != first[name]
    ]
    assert differences == []


def test_process_is_the_same_without_nginx(own_fleet, without_nginx):
    """On a PORT, and on Apache alone, the process is the same as behind Nginx; only settings differ."""
    behind = next(iter(reports(own_fleet).values()))
    found = on_each(without_nginx, lambda stack: json.loads(fetch(stack, "/report-process").body))
    for name, report in found.items():
        environ, expected = report.pop("environ"), behind["environ"]
        assert report == {key: value for key, value in behind.items() if key != "environ"}, name
        different = {key for key in environ.keys() | expected.keys() if environ.get(key) != expected.get(key)}
        assert different <= OWN | SETTINGS_WITHOUT_NGINX | FOR_ONE_SERVER.keys(), (name, different)


def test_app_starts_processes(own_fleet):
    """An app starts Python by sys.executable, and processes by every method of multiprocessing, on every server."""
    found = own_fleet.on_each(lambda server: json.loads(server.get("/start-processes")))
    expected = {"sys.executable": [3, "42 probe:application\n", ""], "fork": 2, "spawn": 2, "forkserver": 2}
    assert found == {server.name: expected for server in own_fleet.servers}


def test_app_terminates_processes(stacks):
    """A process that any thread of a server starts ends on SIGTERM."""

    def terminate(stack: Stack) -> set[bytes]:
        with ThreadPoolExecutor() as pool:
            responses = list(pool.map(lambda _: fetch(stack, "/terminate-process"), range(4)))
        return {response.body for response in responses}

    assert on_each(stacks, terminate) == dict.fromkeys(stacks, {b"-15"})


def test_python_is_the_same(stacks):
    """Text files with any name, asyncio and nested calls work in the threads of every server."""
    found = on_each(stacks, lambda stack: json.loads(fetch(stack, "/use-python").body))
    assert found == dict.fromkeys(stacks, ["gr\u00fc\u00dfe", 42, 1, 900])


def test_options_of_one_server_have_no_effect(own_fleet):
    """Options for one server in the environment neither reach the app nor change how the stack runs it."""
    for report in reports(own_fleet).values():
        assert not [name for name in report["environ"] if name.startswith(("GUNICORN_", "UWSGI_", "APACHE_"))]
        assert report["environ"]["WEB_CONCURRENCY"] == "1"


def test_threads_of_a_request_are_finished(own_fleet, without_nginx):
    """A thread that a request has started is finished before the process stops, and Python's exit handlers run, on
    every server, with and without Nginx in front.
    """

    def stop(stack: Stack) -> list[bool]:
        fetch(stack, "/at-exit/exited")
        fetch(stack, "/background/finished")
        web = stack.container("web")
        docker("stop", web)
        files = [docker("cp", f"{web}:/var/lib/tripod/{name}", "-", check=False) for name in ("finished", "exited")]
        stack.up()
        return ["done" in file.stdout for file in files]

    stacks = {server.name: server.stack for server in own_fleet.servers} | without_nginx
    assert on_each(stacks, stop) == dict.fromkeys(stacks, [True, True])
