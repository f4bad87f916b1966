"""What ./stack makes of docker compose's answers and of the contract."""

import datetime
import json
import socket
import subprocess

import pytest

from cli import compose, console, main, project
from cli.commands import down, status, up
from cli.commands import test as test_verb
from deploy.errors import EXIT_CONFIG, StackError

CONFIG = {
    "name": "tripod",
    "services": {
        "nginx": {
            "environment": {"MAX_BODY_SIZE": "10m"},
            "ports": [{"mode": "ingress", "target": 8080, "published": "8080", "protocol": "tcp"}],
        },
        "web": {
            "environment": {
                "WSGI_SERVER": "uwsgi",
                "WEB_THREADS": None,
                "SECRET_KEY_FILE": "/run/secrets/key",
            }
        },
    },
}
INSPECTED = {
    "Name": "/tripod-nginx-1",
    "Image": "sha256:2",
    "RestartCount": 0,
    "Id": "abc",
    "Config": {
        "Image": "tripod-nginx",
        "Hostname": "abcdef",
        "Env": ["RELEASE=v1", "EMPTY="],
        "Labels": {"com.docker.compose.service": "nginx"},
    },
    "State": {
        "Status": "running",
        "Health": {"Status": "healthy"},
        "ExitCode": 0,
        "StartedAt": "2026-01-02T03:04:05.123456789Z",
        "FinishedAt": "0001-01-01T00:00:00Z",
    },
    "NetworkSettings": {"Ports": {"8080/tcp": [{"HostIp": "0.0.0.0", "HostPort": "9090"}], "8443/tcp": None}},
}


def _answers(monkeypatch, stdout="", returncode=0, stderr=""):
    """Let every question to docker be answered so."""
    monkeypatch.setattr(
        console, "capture", lambda argv, **_: subprocess.CompletedProcess(argv, returncode, stdout, stderr)
    )
    monkeypatch.setattr(compose, "environment", dict)


def test_config_is_what_compose_says(monkeypatch):
    """The values that hold are Compose's own answer."""
    _answers(monkeypatch, json.dumps(CONFIG))
    assert compose.config() == CONFIG


def test_unreadable_config_is_a_configuration_error(monkeypatch):
    """What Compose refuses ends with 78 and Compose's own words."""
    _answers(monkeypatch, returncode=15, stderr="invalid hostPort: abc")
    with pytest.raises(StackError) as raised:
        compose.config()
    assert raised.value.status == 78 and "invalid hostPort: abc" in str(raised.value)


def test_contract_is_asked_with_the_containers_values():
    """nginx's and web's values are checked together; unset ones and files inside the container are not."""
    assert project.settings_values(CONFIG) == {
        "MAX_BODY_SIZE": "10m",
        "WSGI_SERVER": "uwsgi",
        "HTTP_PORT": "8080",
    }


def test_every_settings_error_is_shown_and_ends_with_78(monkeypatch, capsys):
    """All invalid values are reported at once, each with error, cause and fix."""
    web = {"environment": {"WEB_THREADS": "x", "MAX_REQUESTS": "y"}}
    config = {"services": {"nginx": CONFIG["services"]["nginx"], "web": web}}
    monkeypatch.setattr("cli.commands.status.run", lambda args: project.check_settings(config))
    assert main.main(["status"]) == EXIT_CONFIG
    printed = capsys.readouterr().err
    assert printed.count("error:") == printed.count("cause:") == printed.count("fix:") == 2
    assert "WEB_THREADS: 'x' is not a whole number" in printed and "fix:   set MAX_REQUESTS=" in printed


def test_containers_are_read(monkeypatch):
    """State, health, image, age and published ports come from one answer of the engine."""
    _answers(monkeypatch, json.dumps([INSPECTED]))
    monkeypatch.setattr(compose, "containers", lambda name, real=compose._container: [real(INSPECTED)])
    (one,) = compose.containers("tripod")
    assert (one.service, one.state, one.health, one.ports) == ("nginx", "running", "healthy", {8080: 9090})
    assert (one.name, one.hostname, one.environment) == ("tripod-nginx-1", "abcdef", {"RELEASE": "v1", "EMPTY": ""})
    assert compose.url("tripod") == "http://127.0.0.1:9090"


@pytest.mark.parametrize(
    ("state", "health", "code", "failed", "words"),
    [
        ("running", "healthy", 0, False, "is healthy"),
        ("running", "unhealthy", 0, True, "is unhealthy"),
        ("exited", "", 0, False, "exited with status 0"),
        ("exited", "", 3, True, "exited with status 3"),
        ("restarting", "", 1, True, "is restarting"),
    ],
)
def test_failed_services_are_told_from_finished_ones(state, health, code, failed, words):
    """A one-shot that ended with 0 is no failure; an unhealthy or ended server is."""
    one = compose.Container("id", "web", "image", state, health, code, "")
    assert one.has_failed is failed and up.describe_state(one) == words


def test_unknown_server_is_refused_with_the_known_ones(monkeypatch, tmp_path):
    """The servers to choose from are the folders of deploy/servers that have a `run`."""
    for name in ("gunicorn", "uwsgi"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "run").touch()
    (tmp_path / "README.md").touch()
    monkeypatch.setattr("deploy.settings.SERVERS", tmp_path)
    project.check_server("uwsgi")
    with pytest.raises(StackError) as raised:
        project.check_server("unicorn")
    assert raised.value.status == 78 and "there are: gunicorn, uwsgi." in str(raised.value)


def test_taken_port_names_its_holder_and_a_free_one(monkeypatch):
    """A port of somebody else's stops the start; a port of this project does not."""
    monkeypatch.setattr(compose, "containers", lambda name: [])
    with socket.create_server(("", 0)) as server:
        port = server.getsockname()[1]
        config = {"name": "tripod", "services": {"nginx": {"ports": [{"published": str(port)}]}}}
        with pytest.raises(StackError) as raised:
            project.check_port(config)
        assert f"Port {port} is taken by the process" in raised.value.error
        assert raised.value.fix.startswith("HTTP_PORT=")
        own = compose.Container("id", "nginx", "image", "running", "healthy", 0, "", {8080: port})
        monkeypatch.setattr(compose, "containers", lambda name: [own])
        project.check_port(config)


def test_nobody_to_ask_keeps_the_data(monkeypatch):
    """Without a terminal `down --volumes` needs --yes."""
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    with pytest.raises(StackError) as raised:
        down._confirm("tripod")
    assert raised.value.fix == "./stack down --volumes --yes"


@pytest.mark.parametrize(
    ("stamp", "age"),
    [
        ("2026-01-02T03:04:00.5Z", "5 s"),
        ("2026-01-02T03:01:05Z", "3 min"),
        ("2026-01-01T03:04:05Z", "1 d"),
        ("0001-01-01T00:00:00Z", "-"),
    ],
)
def test_age_is_told_in_words(stamp, age):
    """How long something runs is told in its largest unit; what never ran has no age."""
    now = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.timezone.utc)
    assert status.age(stamp, now) == age


def test_tests_need_an_engine_of_this_machine():
    """The socket of a local engine is used wherever it lies; a remote engine is refused in three parts."""
    assert test_verb.engine_socket("unix:///run/user/1000/docker.sock") == "/run/user/1000/docker.sock"
    with pytest.raises(StackError):
        test_verb.engine_socket("tcp://build.example:2375")
