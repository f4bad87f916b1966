"""What ./stack reads of Docker Compose and the engine: settings, ports, URLs, the state of containers."""

import datetime
import json
import re
import socket
import subprocess

import pytest

from cli import compose, console, dotenv, main, project
from cli.commands import down, status, up
from cli.commands import test as test_command
from deploy.errors import EXIT_CONFIG, StackError, StackErrors

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


@pytest.fixture(autouse=True)
def no_dotenv(monkeypatch, tmp_path):
    """The .env file of the developer is not read."""
    monkeypatch.setattr(dotenv, "PATH", tmp_path / ".env")


def _config(**services):
    """The project with these ports of its services; None for a service without `ports`."""
    return {
        "name": "tripod",
        "services": {name: {} if ports is None else {"ports": ports} for name, ports in services.items()},
    }


def _port(published, target=8080, **more):
    return {"mode": "ingress", "target": target, "published": str(published), "protocol": "tcp", **more}


def _container(service, **ports):
    """A running container; ports: p8080=("0.0.0.0", 9090)."""
    published = {int(name[1:]): address for name, address in ports.items()}
    return compose.Container("id", service, "image", "running", "healthy", 0, "", published)


def _fake_docker(monkeypatch, stdout="", returncode=0, stderr=""):
    """Let every command of docker give this output and exit status."""
    monkeypatch.setattr(
        console, "capture", lambda argv, **_: subprocess.CompletedProcess(argv, returncode, stdout, stderr)
    )
    monkeypatch.setattr(compose, "environment", dict)


def test_config_is_that_of_compose(monkeypatch):
    """The configuration is what `docker compose config` prints."""
    _fake_docker(monkeypatch, json.dumps(CONFIG))
    assert compose.config() == CONFIG


def test_unreadable_config_is_a_configuration_error(monkeypatch):
    """A docker-compose.yml that Compose refuses gives status 78 and Compose's own message."""
    _fake_docker(monkeypatch, returncode=15, stderr="services.web.volumes must be a list")
    with pytest.raises(StackError) as raised:
        compose.config()
    assert raised.value.status == EXIT_CONFIG and "services.web.volumes must be a list" in str(raised.value)


def test_setting_that_compose_refuses_is_named(monkeypatch):
    """If Compose refuses the value of a setting, the error is that of the setting, not Compose's own message."""
    _fake_docker(monkeypatch, returncode=15, stderr="invalid size: 'plenty'")
    with pytest.raises(StackErrors) as raised:
        compose.config({"WEB_MEMORY": "plenty", "HTTP_PORT": "eighty"})
    assert raised.value.status == EXIT_CONFIG
    assert [error.error.partition(":")[0] for error in raised.value.errors] == ["HTTP_PORT", "WEB_MEMORY"]


def test_settings_are_those_of_the_containers():
    """The values of nginx and web are checked together; unset ones and files in the container are left out."""
    assert project.settings_values(CONFIG) == {
        "MAX_BODY_SIZE": "10m",
        "WSGI_SERVER": "uwsgi",
        "HTTP_PORT": "8080",
    }


@pytest.mark.parametrize("environment", [None, {}, {"APP_DIR": None}, {"APP_DIR": ""}])
def test_unset_settings_are_left_out(environment):
    """A variable that Compose passes on by name alone, and that is not set, is null or missing: it counts as unset."""
    config = _config(nginx=[_port(8080)], web=None)
    config["services"]["web"]["environment"] = environment
    assert project.web_environment(config) == {}
    project.check_settings(config)


def test_every_settings_error_is_shown_and_exits_with_78(monkeypatch, capsys):
    """All invalid values are reported at once, each with error, cause and fix."""
    web = {"environment": {"WEB_THREADS": "x", "MAX_REQUESTS": "y"}}
    config = {"services": {"nginx": CONFIG["services"]["nginx"], "web": web}}
    monkeypatch.setattr("cli.commands.status.run", lambda args: project.check_settings(config))
    assert main.main(["status"]) == EXIT_CONFIG
    printed = capsys.readouterr().err
    assert printed.count("error:") == printed.count("cause:") == printed.count("fix:") == 2
    assert "WEB_THREADS: 'x' is not a whole number" in printed and "fix:   set MAX_REQUESTS=" in printed


@pytest.mark.parametrize("source", ["shell", ".env"])
def test_settings_of_compose_alone_are_checked(monkeypatch, source):
    """Settings that only Compose reads are checked too, together with the others; the shell overrides .env."""
    wrong = {"WEB_MEMORY": "plenty", "TMP_SIZE": "1x", "NGINX_MEMORY": "256m"}
    if source == "shell":
        dotenv.PATH.write_text("WEB_MEMORY=512m\n")
        for name, value in wrong.items():
            monkeypatch.setenv(name, value)
    else:
        dotenv.PATH.write_text("".join(f"{name}={value}\n" for name, value in wrong.items()))
    config = _config(nginx=[_port(8080)], web=None)
    config["services"]["web"]["environment"] = {"WEB_THREADS": "x"}
    with pytest.raises(StackErrors) as raised:
        project.check_settings(config)
    assert raised.value.status == EXIT_CONFIG
    assert {error.error.partition(":")[0] for error in raised.value.errors} == {"WEB_THREADS", "WEB_MEMORY", "TMP_SIZE"}


def test_settings_of_the_host_are_read_from_shell_and_dotenv(monkeypatch):
    """Settings that are read on the host come from the shell, then from .env, then from their defaults."""
    dotenv.PATH.write_text("SMOKE_CHECK_DURATION=2\nTMP_SIZE=32m\n")
    monkeypatch.setenv("SMOKE_CHECK_DURATION", "1")
    settings = compose.load_host_settings()
    names = ("SMOKE_CHECK_DURATION", "TMP_SIZE", "WATCH_DURATION")
    assert [settings[name] for name in names] == ["1", "32m", "4"]


@pytest.mark.parametrize(("memory", "errors"), [("1g", []), ("plenty", ["WEB_MEMORY"])])
def test_substituted_values_of_dotenv_are_checked(memory, errors):
    """A value of .env is checked after variables in it are replaced, as Compose replaces them."""
    dotenv.PATH.write_text(f"MEMORY={memory}\nWEB_MEMORY=${{MEMORY}}\n")
    try:
        project.check_settings(CONFIG)
        found = []
    except StackErrors as raised:
        found = [error.error.partition(":")[0] for error in raised.errors]
    assert found == errors


@pytest.mark.parametrize("name", ["SCRIPT_NAME", "MOUNT_PATH"])
@pytest.mark.parametrize("source", ["shell", ".env"])
def test_mount_by_the_environment_is_refused(name, source, monkeypatch):
    """`./stack up`, `release` and `doctor` refuse SCRIPT_NAME and MOUNT_PATH before anything is built or started."""
    config = _config(nginx=[_port(8080)], web=None)
    if source == "shell":  # Compose would not pass it to the app
        monkeypatch.setenv(name, "/shop")
    else:
        dotenv.PATH.write_text(f"{name}=/shop\n")
        config["services"]["web"]["environment"] = {name: "/shop"}
    with pytest.raises(StackErrors) as raised:
        project.check_settings(config)
    (error,) = raised.value.errors
    assert error.error.startswith(f"{name}: ") and "DispatcherMiddleware" in error.fix and error.status == EXIT_CONFIG


def test_published_address_is_checked(monkeypatch):
    """The address and port that Compose publishes are checked as HTTP_BIND and HTTP_PORT."""
    config = _config(nginx=[_port(99999, host_ip="::1")], web=None)
    assert project.settings_values(config) == {"HTTP_BIND": "[::1]", "HTTP_PORT": "99999"}
    with pytest.raises(StackErrors) as raised:
        project.check_settings(config)
    assert [error.error.partition(":")[0] for error in raised.value.errors] == ["HTTP_PORT"]


@pytest.mark.parametrize(
    ("config", "published"),
    [
        (_config(nginx=[_port(8080)], web=None), ("", "8080")),
        (_config(nginx=[_port(80, host_ip="127.0.0.1")], web=None), ("127.0.0.1", "80")),
        (_config(adminer=[_port(8081)], nginx=[_port(8080)], web=None), ("", "8080")),
        (_config(nginx=[_port(8443, target=8443), _port(8080)], web=None), ("", "8080")),
        (_config(web=[_port(8080)]), ("", "8080")),
        (_config(web=[_port(8000, target=8000)]), ("", "8000")),
        (_config(nginx=None, web=None), None),
        (_config(nginx=[], web=[_port(5000)]), None),
        (_config(adminer=[_port(8081)], nginx=None, web=None), None),
    ],
)
def test_published_port_is_that_of_nginx_or_web(config, published):
    """The port is that of Nginx, or of web where Apache runs alone; another service's port is never taken for it."""
    assert project.published_port(config) == published


def test_stack_without_published_port_is_valid():
    """Without a published port, behind another proxy's network for example, the checks pass."""
    config = _config(nginx=[], web=None)
    project.check_port(config)
    project.check_settings(config)


@pytest.mark.parametrize(
    ("containers", "url"),
    [
        ([_container("nginx", p8080=("0.0.0.0", 9090))], "http://127.0.0.1:9090"),
        ([_container("nginx", p8080=("127.0.0.1", 9090))], "http://127.0.0.1:9090"),
        ([_container("nginx", p8080=("192.0.2.7", 9090))], "http://192.0.2.7:9090"),
        ([_container("nginx", p8080=("::", 9090))], "http://[::1]:9090"),
        ([_container("nginx", p8080=("2001:db8::7", 80))], "http://[2001:db8::7]:80"),
        (
            [_container("adminer", p8080=("0.0.0.0", 8081)), _container("nginx", p8080=("0.0.0.0", 9090))],
            "http://127.0.0.1:9090",
        ),
        ([_container("web", p8080=("0.0.0.0", 9090))], "http://127.0.0.1:9090"),
        ([_container("adminer", p8080=("0.0.0.0", 8081)), _container("nginx"), _container("web")], ""),
        ([], ""),
    ],
)
def test_url_is_that_of_nginx_or_web(monkeypatch, containers, url):
    """The URL has the address and port that the service for clients is published on; it is empty without one."""
    monkeypatch.setattr(compose, "containers", lambda project: containers)
    assert compose.url("tripod") == url


def test_up_skips_the_request_without_published_port(monkeypatch, capsys):
    """`up` on a stack without a published port ends with a message and without a request."""
    config = _config(nginx=[], web=None)
    config["services"]["web"] = {"image": "tripod-web", "build": {"args": {"BASE_IMAGE": "debian:trixie-slim"}}}
    monkeypatch.setattr(up.native, "running", dict)
    monkeypatch.setattr(up.engine, "ensure", lambda assume_yes: None)
    monkeypatch.setattr(compose, "config", lambda settings: config)
    monkeypatch.setattr(compose, "environment", dict)
    monkeypatch.setattr(compose, "containers", lambda project: [_container("nginx"), _container("web")])
    monkeypatch.setattr(up.base_image, "ensure_for", lambda config, assume_yes: None)
    monkeypatch.setattr(up.rollout, "has_active_container", lambda project: False)
    monkeypatch.setattr(console, "run", lambda *args, **options: None)
    monkeypatch.setattr(project, "fetch_liveness", None)
    assert main.main(["up"]) == 0
    assert "No port is published." in capsys.readouterr().out


@pytest.fixture
def docker_commands(monkeypatch):
    """The commands of docker that were run. `docker ps` lists four containers, and `docker inspect` describes them."""
    commands = []

    def inspected(service: str, **state) -> dict:
        config = INSPECTED["Config"] | {"Labels": {"com.docker.compose.service": service}}
        return INSPECTED | {"Id": service, "Config": config, "State": INSPECTED["State"] | state}

    listed = [
        inspected("web", StartedAt="2026-01-02T03:04:07Z"),
        inspected("web", StartedAt="2026-01-02T03:04:06Z") | {"Id": "older"},
        inspected("migrate", Status="exited", ExitCode=3, FinishedAt="2026-01-02T03:04:09Z"),
        INSPECTED,
    ]

    def capture(argv, **_):
        commands.append(argv)
        ids = [one["Id"] for one in listed]
        stdout = {"ps": "\n".join(ids), "inspect": json.dumps(listed)}[argv[1]]
        return subprocess.CompletedProcess(argv, 0, stdout, "")

    monkeypatch.setattr(console, "capture", capture)
    return commands


def test_containers_are_read(docker_commands):
    """State, health, image, age, published ports and environment of a container come from `docker inspect`."""
    (one,) = [container for container in compose.containers("tripod") if container.service == "nginx"]
    assert (one.id, one.state, one.health, one.exit_code, one.restarts) == ("abc", "running", "healthy", 0, 0)
    assert (one.image, one.image_id, one.since) == ("tripod-nginx", "sha256:2", "2026-01-02T03:04:05.123456789Z")
    assert one.ports == {8080: ("0.0.0.0", 9090)}
    assert (one.name, one.hostname, one.environment) == ("tripod-nginx-1", "abcdef", {"RELEASE": "v1", "EMPTY": ""})
    assert compose.url("tripod") == "http://127.0.0.1:9090"


def test_containers_are_those_of_the_project(docker_commands):
    """All containers of the project are listed, running or not, without those of `docker compose run`; one call of
    `docker inspect` reads all of them.
    """
    compose.containers("tripod")
    (ps, inspect) = docker_commands
    assert ps[:3] == ["docker", "ps", "-aq"]
    assert set(zip(ps[3::2], ps[4::2], strict=True)) == {
        ("--filter", "label=com.docker.compose.project=tripod"),
        ("--filter", "label=com.docker.compose.oneoff=False"),
    }
    assert inspect == ["docker", "inspect", "web", "older", "migrate", "abc"]


def test_containers_are_sorted_by_service_and_age(docker_commands):
    """Containers are sorted by service, and those of one service by age; an exited one is as old as its exit."""
    found = compose.containers("tripod")
    assert [container.id for container in found] == ["migrate", "abc", "older", "web"]
    assert (found[0].since, found[0].exit_code) == ("2026-01-02T03:04:09Z", 3)


def test_project_without_containers(monkeypatch):
    """A project without containers has an empty list: `docker inspect` without arguments would be an error."""
    commands = []
    monkeypatch.setattr(
        console, "capture", lambda argv, **_: commands.append(argv) or subprocess.CompletedProcess(argv, 0, "", "")
    )
    assert compose.containers("tripod") == []
    assert [argv[1] for argv in commands] == ["ps"]


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
def test_failed_services_are_distinguished_from_completed_ones(state, health, code, failed, words):
    """A one-shot service that exited with 0 has not failed; an unhealthy or exited server has."""
    one = compose.Container("id", "web", "image", state, health, code, "")
    assert one.has_failed is failed and up.describe_state(one) == words


def test_unknown_server_is_refused_with_a_list(monkeypatch, tmp_path):
    """The valid servers are the folders of deploy/servers that have a file `run`."""
    for name in ("gunicorn", "uwsgi"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "run").touch()
    (tmp_path / "README.md").touch()
    monkeypatch.setattr("deploy.settings.SERVERS", tmp_path)
    project.check_server("uwsgi")
    with pytest.raises(StackError) as raised:
        project.check_server("unicorn")
    assert raised.value.status == 78 and "folders of deploy/servers: gunicorn, uwsgi." in str(raised.value)


def test_taken_port_is_an_error_with_its_process_and_a_free_port(monkeypatch):
    """A port of another process stops the start; a port of this project does not."""
    monkeypatch.setattr(compose, "containers", lambda name: [])
    with socket.create_server(("", 0)) as server:
        port = server.getsockname()[1]
        config = {"name": "tripod", "services": {"nginx": {"ports": [{"published": str(port)}]}}}
        with pytest.raises(StackError) as raised:
            project.check_port(config)
        assert f"Port {port} is taken by the process" in raised.value.error
        assert re.match(r"HTTP_PORT=\d+ \./stack up", raised.value.fix)
        own = _container("nginx", p8080=("0.0.0.0", port))
        monkeypatch.setattr(compose, "containers", lambda name: [own])
        project.check_port(config)


def test_data_is_kept_without_confirmation(monkeypatch):
    """Without a terminal, `down --volumes` needs --yes."""
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
def test_age_is_shown_in_its_largest_unit(stamp, age):
    """An age is shown in its largest unit; a container that never ran has none."""
    now = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.timezone.utc)
    assert status.age(stamp, now) == age


def test_tests_need_an_engine_of_this_machine():
    """The socket of a local engine is used wherever it is; a remote engine is refused with a StackError."""
    assert test_command.engine_socket("unix:///run/user/1000/docker.sock") == "/run/user/1000/docker.sock"
    with pytest.raises(StackError):
        test_command.engine_socket("tcp://build.example:2375")
