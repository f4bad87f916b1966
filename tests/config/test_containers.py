"""The Compose files and the Dockerfile: Compose and hadolint accept them, and every container stays hardened."""

import functools
import json
import re

import pytest
import yaml

from deploy.settings import KILL_AFTER, ROOT, SETTINGS
from tests.support.repository import tool

LONG_RUNNING = ("nginx", "web", "postgres")
HARDENED = (*LONG_RUNNING, "migrate")
STOP_SIGNALS = {"nginx": "SIGQUIT", "web": "SIGTERM", "postgres": "SIGINT"}  # graceful shutdown of each program
TOOLS = ("lock", "smoke", "test", "bench")
DEFAULTS = {setting.name: setting.default for setting in SETTINGS}


@functools.cache
def compose_config(*files: str, **env: str) -> dict:
    """Return what Compose makes of docker-compose.yml with other files laid over it, in this environment."""
    options = [word for file in ("docker-compose.yml", *files) for word in ("--file", file)]
    done = tool("docker", "compose", "--env-file", "/dev/null", *options, "config", "--format", "json", **env)
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


@pytest.mark.parametrize("profile", ["", "postgres", "*"])
@pytest.mark.parametrize("files", [[], ["docker-compose.yml", "compose.tools.yml"]], ids=["stack", "tools"])
@pytest.mark.needs("docker compose")
def test_compose_accepts_the_files(files, profile):
    """docker compose config accepts the files with each profile, on a fresh clone without any setting."""
    options = [word for file in files for word in ("--file", file)]
    options += ["--profile", profile] if profile else []
    done = tool("docker", "compose", "--env-file", "/dev/null", *options, "config", "--quiet")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_list_of_services_is_complete(compose):
    """Every service of docker-compose.yml is checked below, and every other one is an image of compose.tools.yml."""
    restarted = {name for name, service in compose["services"].items() if service.get("restart") == "unless-stopped"}
    assert restarted == set(LONG_RUNNING)
    assert set(compose["services"]) == set(HARDENED)
    assert set(compose_config("compose.tools.yml")["services"]) - set(HARDENED) == set(TOOLS)


@pytest.mark.parametrize("name", HARDENED)
def test_container_is_hardened(compose, name):
    """Containers have a read-only root, no capabilities, no way to gain any, and limits on memory and processes."""
    service = compose["services"][name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"] and not service.get("cap_add")
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert int(service["mem_limit"]) > 0
    assert int(service["pids_limit"]) > 0
    assert not service.get("privileged") and not service.get("pid") and not service.get("ipc")
    assert service["logging"]["options"].get("max-size")


def test_stop_signals_are_those_of_the_images(compose):
    """No service overrides the stop signal of its image, which finishes in-flight requests."""
    assert not {name for name, service in compose["services"].items() if "stop_signal" in service}


def test_heartbeats_are_kept_in_memory(compose):
    """Nothing replaces Docker's /dev/shm, which is in memory: on a slow disk healthy workers would seem stuck."""
    service = compose["services"]["web"]
    targets = {volume["target"] for volume in service.get("volumes", [])}
    targets |= {entry.partition(":")[0] for entry in service.get("tmpfs", [])}
    assert "/dev/shm" not in targets and service.get("ipc") in (None, "private", "shareable")


def test_only_nginx_publishes_ports(compose):
    """Only Nginx can be reached from outside."""
    published = {name for name, service in compose["services"].items() if service.get("ports")}
    assert published == {"nginx"}
    assert all(service.get("network_mode") != "host" for service in compose["services"].values())


@pytest.mark.parametrize("name", HARDENED)
def test_container_has_no_access_to_the_host(compose, name):
    """Containers mount named volumes only: no directory of the host, and not Docker's socket."""
    assert {volume["type"] for volume in compose["services"][name].get("volumes", [])} <= {"volume"}


def test_nginx_cannot_change_the_files_of_web(compose):
    """Nginx mounts sockets and assets read-only."""
    readonly = {v["source"] for v in compose["services"]["nginx"]["volumes"] if v.get("read_only")}
    assert {"sockets", "assets"} <= readonly


@pytest.mark.parametrize("name", LONG_RUNNING)
def test_containers_are_killed_after_the_same_time(compose, name):
    """Docker waits KILL_AFTER seconds before it kills a container that is being stopped."""
    match = re.fullmatch(r"(?:(\d+)m)?(\d+)s", compose["services"][name]["stop_grace_period"])
    assert int(match[1] or 0) * 60 + int(match[2]) == KILL_AFTER


# --- settings -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("setting", "services"),
    [("WEB_MEMORY", ("web", "migrate")), ("NGINX_MEMORY", ("nginx",)), ("POSTGRES_MEMORY", ("postgres",))],
)
@pytest.mark.needs("docker compose")
def test_memory_limit_is_a_setting(setting, services):
    """The memory limit of each container is a setting with the default of deploy/settings.py."""
    for env, megabytes in (({}, DEFAULTS[setting].removesuffix("m")), ({setting: "1g"}, 1024)):
        config = compose_config(COMPOSE_PROFILES="postgres", **env)
        assert {int(config["services"][name]["mem_limit"]) for name in services} == {int(megabytes) * 1024**2}


@pytest.mark.parametrize("name", HARDENED)
@pytest.mark.needs("docker compose")
def test_tmp_size_is_a_setting(name):
    """The size of /tmp is TMP_SIZE in every container, with the default of deploy/settings.py."""
    for env, size in (({}, DEFAULTS["TMP_SIZE"]), ({"TMP_SIZE": "64m"}, "64m")):
        config = compose_config(COMPOSE_PROFILES="postgres", **env)
        assert config["services"][name]["tmpfs"] == [f"/tmp:mode=1777,size={size}"]


@pytest.mark.parametrize(
    ("files", "service"),
    [([], "nginx"), (["deploy/targets/apache/compose.yml"], "web")],
    ids=["nginx", "apache"],
)
@pytest.mark.parametrize(
    ("bind", "address"), [("", "0.0.0.0"), ("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "0.0.0.0"), ("[::1]", "::1")]
)
@pytest.mark.needs("docker compose")
def test_bind_address_is_a_setting(files, service, bind, address):
    """The port is published on HTTP_BIND, and without it on all IPv4 addresses: over IPv6 all clients would be one."""
    (port,) = compose_config(*files, HTTP_BIND=bind)["services"][service]["ports"]
    assert (port.get("host_ip"), port["published"], port["target"]) == (address, DEFAULTS["HTTP_PORT"], 8080)


@pytest.mark.parametrize(
    "files", [[], ["deploy/targets/apache/compose.yml"], ["bench/stack.yml"], ["tests/live/probe.yml"]], ids=str
)
@pytest.mark.needs("docker compose")
def test_unset_settings_are_not_set_in_the_containers(files):
    """A setting that is not set has no value in any container, not even an empty one, except PORT."""
    for name, service in compose_config(*files)["services"].items():
        empty = {variable for variable, value in service.get("environment", {}).items() if value == ""}
        assert empty <= {"PORT", "GUNICORN_CMD_ARGS"}, name


@pytest.mark.needs("docker compose")
def test_settings_are_passed_to_the_containers(tmp_path):
    """A setting reaches the containers with its value, from the environment or from the file .env."""
    (tmp_path / ".env").write_text("WEB_THREADS=3\nREQUEST_TIMEOUT=11\n")
    config = compose_config(COMPOSE_ENV_FILES="", REQUEST_TIMEOUT="12")["services"]
    assert config["web"]["environment"]["REQUEST_TIMEOUT"] == config["nginx"]["environment"]["REQUEST_TIMEOUT"] == "12"
    done = tool("docker", "compose", "--env-file", tmp_path / ".env", "config", "--format", "json")
    config = json.loads(done.stdout)["services"]
    assert config["web"]["environment"]["WEB_THREADS"] == config["migrate"]["environment"]["WEB_THREADS"] == "3"
    assert config["nginx"]["environment"]["REQUEST_TIMEOUT"] == "11"


# --- images -------------------------------------------------------------------------------------------------


@pytest.mark.needs("docker compose")
def test_every_image_is_built_once():
    """Only one service builds each image: concurrent builds of one image can collide."""
    services = compose_config("compose.tools.yml", COMPOSE_PROFILES="postgres")["services"]
    built = [service["image"] for service in services.values() if service.get("build")]
    assert sorted(built) == sorted({service["image"] for service in services.values()})


@pytest.mark.needs("docker compose")
def test_tools_are_built_like_the_stack():
    """compose.tools.yml repeats the build arguments, secrets and contexts of docker-compose.yml unchanged."""
    env = {"BASE_IMAGE": "base", "RELEASE": "r1", "APP_DIR": "app", "BUILD_COMMAND": "b", "STATIC_SOURCE": "s"}
    proxies = dict.fromkeys(("HTTP_PROXY", "https_proxy", "no_proxy"), "p")
    services = compose_config("compose.tools.yml", **env, **proxies)["services"]
    builds = {name: services[name]["build"] | {"target": ""} for name in ("nginx", "web", *TOOLS)}
    assert builds["bench"] == builds["web"]
    assert all(builds[name] == builds["nginx"] for name in TOOLS if name != "bench")


def test_every_stage_runs_as_a_user():
    """Each long-running image names an unprivileged user, a health check and its stop signal."""
    text = (ROOT / "Dockerfile").read_text()
    stages = dict(re.findall(r"^FROM \S+ AS (\S+)\n(.*?)(?=^FROM |\Z)", text, re.M | re.S))
    for name in LONG_RUNNING:
        (user,) = re.findall(r"^USER (\S+)$", stages[name], re.M)
        assert user not in ("root", "0")
        assert re.search(rf"^STOPSIGNAL {STOP_SIGNALS[name]}$", stages[name], re.M)
        assert re.search(r"^HEALTHCHECK ", stages[name], re.M)


def test_hadolint_accepts_the_dockerfile():
    """hadolint reports nothing, apart from the rules that .hadolint.yaml ignores."""
    done = tool("hadolint", "--no-color", "Dockerfile")
    assert done.returncode == 0, done.stdout + done.stderr


def test_rules_that_hadolint_ignores_are_few_and_have_reasons():
    """At most three rules are ignored, each with a comment that says why."""
    path = ROOT / ".hadolint.yaml"
    text = path.read_text() if path.exists() else ""
    ignored = (yaml.safe_load(text) or {}).get("ignored", [])
    inline = re.findall(r"# hadolint .*ignore=(\S+)", (ROOT / "Dockerfile").read_text())
    assert len(ignored) + len(inline) <= 3
    for rule in ignored:
        assert re.search(rf"#.*\n *- {rule}\b|- {rule} +#", text), f"{rule} has no reason"


# What compose-lint reports about the services, and why they stay like this.
ACCEPTED_FINDINGS = {
    "CL-0004": "the images are built here: their tag is the operator's name for the build (IMAGE_TAG)",
    "CL-0005": "the stack is published on all IPv4 addresses unless HTTP_BIND names one: it serves clients elsewhere",
    "CL-0026": "no CPU limit: WEB_CONCURRENCY depends on the available CPUs, and a limit would only slow the app down",
}


def test_compose_lint_accepts_the_services():
    """compose-lint reports exactly the findings that are accepted above."""
    done = tool("compose-lint", "--format", "json", "docker-compose.yml")
    findings = [one for one in json.loads(done.stdout)["findings"] if one["service"] in HARDENED]
    assert {one["rule_id"] for one in findings} == set(ACCEPTED_FINDINGS), findings


def test_base_image_needs_no_ca_certificates():
    """Each stage from which a container connects to other hosts by TLS, or in which pip does, installs the CAs itself.

    debian:trixie-slim of a registry has none.
    """
    text = (ROOT / "Dockerfile").read_text()
    stages = dict(re.findall(r"^FROM \S+ AS (\S+)\n(.*?)(?=^FROM |\Z)", text, re.MULTILINE | re.DOTALL))
    assert {name for name, stage in stages.items() if re.search(r"\bca-certificates\b", stage)} == {
        "build",
        "web",
        "smoke",
    }
