"""Compose and the Dockerfile, as Compose and hadolint judge them, and what every container must keep."""

import json
import re

import pytest
import yaml

from deploy.settings import ROOT
from tests.support.repository import tool

LONG_RUNNING = ("nginx", "web", "postgres")
HARDENED = (*LONG_RUNNING, "migrate")
STOP_SIGNALS = {"nginx": "SIGQUIT", "web": "SIGTERM", "postgres": "SIGINT"}  # each program's graceful shutdown


@pytest.mark.parametrize("profile", ["", "postgres", "*"])
def test_compose_takes_its_file(profile):
    """docker compose config accepts the file with each profile, on a fresh clone without any setting."""
    profiles = ["--profile", profile] if profile else []
    done = tool("docker", "compose", "--env-file", "/dev/null", *profiles, "config", "--quiet")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_list_of_services_is_whole(compose):
    """Every service that stays up is in this file's list, so that no new one goes without the checks
    below.
    """
    stays = {name for name, service in compose["services"].items() if service.get("restart") == "unless-stopped"}
    assert stays == set(LONG_RUNNING)
    assert set(compose["services"]) == set(HARDENED)


@pytest.mark.parametrize("name", HARDENED)
def test_container_is_hardened(compose, name):
    """Each container has a read-only root, no capabilities, no way to gain any, and limits on memory and
    processes.
    """
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
    """/dev/shm is the one that Docker mounts, in memory: on a slow disk healthy workers would seem to hang."""
    service = compose["services"]["web"]
    targets = {volume["target"] for volume in service.get("volumes", [])} | {
        entry.partition(":")[0] for entry in service.get("tmpfs", [])
    }
    assert "/dev/shm" not in targets and service.get("ipc") in (None, "private", "shareable")


def test_only_nginx_publishes_ports(compose):
    """Nothing but Nginx can be reached from outside."""
    published = {name for name, service in compose["services"].items() if service.get("ports")}
    assert published == {"nginx"}
    assert all(service.get("network_mode") != "host" for service in compose["services"].values())


@pytest.mark.parametrize("name", HARDENED)
def test_container_has_no_way_to_the_host(compose, name):
    """No container has a folder of the host, nor Docker's own socket: all it keeps is in named volumes."""
    assert {volume["type"] for volume in compose["services"][name].get("volumes", [])} <= {"volume"}


def test_nginx_cannot_change_what_web_made(compose):
    """Nginx reads sockets and assets and cannot write them."""
    readonly = {v["source"] for v in compose["services"]["nginx"]["volumes"] if v.get("read_only")}
    assert {"sockets", "assets"} <= readonly


def test_every_stage_runs_as_a_user():
    """Each image that runs for long names an unprivileged user, a health check and its stop signal."""
    text = (ROOT / "Dockerfile").read_text()
    stages = dict(re.findall(r"^FROM \S+ AS (\S+)\n(.*?)(?=^FROM |\Z)", text, re.M | re.S))
    for name in LONG_RUNNING:
        (user,) = re.findall(r"^USER (\S+)$", stages[name], re.M)
        assert user not in ("root", "0")
        assert re.search(rf"^STOPSIGNAL {STOP_SIGNALS[name]}$", stages[name], re.M)
        assert re.search(r"^HEALTHCHECK ", stages[name], re.M)


def test_hadolint_takes_the_dockerfile():
    """hadolint has nothing to say about the Dockerfile, but for the rules that .hadolint.yaml leaves out."""
    done = tool("hadolint", "--no-color", "Dockerfile")
    assert done.returncode == 0, done.stdout + done.stderr


# What compose-lint says of the services that stay, and why it stays so.
MEANT_SO = {
    "CL-0004": "the images are built here: their tag is what the user calls the build (IMAGE_TAG)",
    "CL-0005": "Nginx's port is for the world; HTTP_PORT=127.0.0.1:8080 keeps it from it",
    "CL-0026": "no CPU limit: WEB_CONCURRENCY is made from what there is, and a limit would only slow it down",
}


def test_compose_lint_takes_the_services():
    """compose-lint finds nothing in the services that stay but what is named above, and all of that."""
    done = tool("compose-lint", "--format", "json", "docker-compose.yml")
    findings = [one for one in json.loads(done.stdout)["findings"] if one["service"] in HARDENED]
    assert {one["rule_id"] for one in findings} == set(MEANT_SO), findings


def test_rules_that_hadolint_leaves_out_are_few_and_have_reasons():
    """At most three rules are left out, each with a comment that says why."""
    path = ROOT / ".hadolint.yaml"
    text = path.read_text() if path.exists() else ""
    ignored = (yaml.safe_load(text) or {}).get("ignored", [])
    inline = re.findall(r"# hadolint .*ignore=(\S+)", (ROOT / "Dockerfile").read_text())
    assert len(ignored) + len(inline) <= 3
    for rule in ignored:
        assert re.search(rf"#.*\n *- {rule}\b|- {rule} +#", text), f"{rule} has no reason"
