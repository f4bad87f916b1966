"""The GitHub Actions workflow is valid and safe, and its jobs are commands of ./stack."""

import os
import re

import pytest
import yaml

from cli import main
from cli.doctor.checks import MAX_PACKAGE_DAYS
from deploy.settings import ROOT
from tests.support.repository import tool

WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
DELIVER = yaml.safe_load((ROOT / ".github/workflows/deliver.yml").read_text())
RUNS = [step["run"] for job in DELIVER["jobs"].values() for step in job["steps"] if "run" in step]


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_workflow_is_valid(workflow):
    """check-jsonschema accepts the workflow as GitHub would."""
    done = tool("check-jsonschema", "--builtin-schema", "vendor.github-workflows", workflow)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_workflow_is_safe(workflow):
    """zizmor finds no injection, no excessive permissions and no persisted credentials."""
    done = tool("zizmor", "--offline", "--no-progress", "--persona=pedantic", workflow)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_actions_are_pinned(workflow):
    """Each action is pinned to a commit by its full hash, with the version in a comment."""
    used = re.findall(r"uses: (.*)", workflow.read_text())
    assert used and all(re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line) for line in used)


def test_every_job_is_bounded():
    """Each job has a time limit and its own permissions; the workflow itself has none."""
    assert DELIVER["permissions"] == {}
    assert all(job["timeout-minutes"] <= 60 and "permissions" in job for job in DELIVER["jobs"].values())


def test_only_the_tests_run_without_variables():
    """Images, release and smoke tests run only if their repository variable is set."""
    conditions = {name: job.get("if", "") for name, job in DELIVER["jobs"].items()}
    assert conditions.pop("test") == ""
    assert all(re.search(r"vars\.\w+ != ''", condition) for condition in conditions.values())


def test_images_are_built_every_week():
    """Main is built and released once a week, on Debian's newest packages: before ./stack doctor warns about them."""
    (schedule,) = DELIVER[True]["schedule"]  # YAML 1.1 reads `on` as true
    minute, hour, day_of_month, month, day_of_week = schedule["cron"].split()
    assert (day_of_month, month) == ("*", "*") and all(field.isdigit() for field in (minute, hour, day_of_week))
    assert MAX_PACKAGE_DAYS > 7
    assert not [job["if"] for job in DELIVER["jobs"].values() if "event_name" in job.get("if", "")]


def test_commands_exist():
    """The workflow uses commands of ./stack that exist."""
    verbs = {verb for run in RUNS for verb in re.findall(r"\./stack (\w+)", run)}
    assert {"test", "release", "smoke"} <= verbs <= set(main.command_names())


def test_scripts_are_sound(tmp_path):
    """shellcheck reports nothing about the scripts of the steps."""
    for number, run in enumerate(RUNS):
        (tmp_path / f"{number}.sh").write_text(run)
    done = tool("shellcheck", "--shell=bash", *sorted(tmp_path.iterdir()))
    assert done.returncode == 0, done.stdout


# Each program records its arguments and IMAGE_TAG, and docker prints what the script reads. The image of Nginx only has
# a new tag, that of web has new content too.
RECORD = 'echo "${IMAGE_TAG:-no tag}: $(basename "$0") $*" >> "$CALLS"\n'
ON_THE_HOST = {
    "ssh": 'while [ "$1" != sh ]; do shift; done; exec "$@"\n',
    "git": "",
    "docker": """case $* in
        "image inspect "*nginx:*) echo '["sha256:1"]{}'; exit;;
        "image inspect "*web:latest) echo '["sha256:2"]{}'; exit;;
        "image inspect "*) echo '["sha256:3"]{}'; exit;;
        "compose config --images") for name in web web nginx; do echo "r:5000/tripod-$name:${IMAGE_TAG:-latest}"; done;;
        "compose ps --quiet web") echo 0123456789ab;;
    esac\n"""
    + RECORD,
    "stack": RECORD,
}


def test_host_replaces_only_changed_images(tmp_path):
    """An image with new content is tagged `latest`; an unchanged one keeps its id, so Compose keeps its container."""
    (script,) = [run for run in RUNS if "./stack release" in run]
    for name, text in ON_THE_HOST.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}")
        (tmp_path / name).chmod(0o755)
    given = {"RUNNER_TEMP": str(tmp_path), "SSH_KEY": "", "KNOWN_HOSTS": "", "HOST": "h", "GITHUB_SHA": "c0ffee"}
    path = f"{tmp_path}:{os.environ['PATH']}"
    script = script.replace("/srv/tripod", str(tmp_path))
    done = tool("bash", "-eu", "-c", script, **given, PATH=path, CALLS=str(tmp_path / "calls"), IMAGE_TAG="")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "calls").read_text().splitlines() == [
        "c0ffee: docker compose pull --quiet",
        "c0ffee: docker compose config --images",
        "no tag: docker tag r:5000/tripod-web:c0ffee r:5000/tripod-web:latest",
        "no tag: docker compose ps --quiet web",
        "no tag: stack release --no-build",
        "no tag: docker compose up --detach --no-build --wait",
    ]


def test_pushed_images_are_those_of_compose():
    """The images that are pushed are services of docker-compose.yml, with the names that a host pulls."""
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    (line,) = [line for run in RUNS for line in run.splitlines() if "buildx bake" in line]
    names = line.split("max ")[1].split()
    assert names == ["web", "nginx", "postgres"]
    assert "--sbom=true" in line and "--provenance=mode=max" in line
    for name in names:
        assert services[name]["image"] == f"${{IMAGE_PREFIX:-}}tripod-{name}:${{IMAGE_TAG:-latest}}"
