"""Scripts, style and packages: the linters report nothing, and no file names a package registry."""

import json
import os
import re
import sys

import pytest
import tomllib
import yaml

from deploy.settings import ROOT
from tests.support.repository import tool, tracked

# Split, so that the test does not find this file. Each machine configures where its packages come from.
REGISTRIES = [
    "py" + "pi.org",
    "python" + "hosted.org",
    "npm" + "js.",
    "yarn" + "pkg.com",
    "deb" + "ian.org",
    "deb" + "ian.net",
    "ubun" + "tu.com",
    "registry-1." + "docker.io",
    "index." + "docker.io",
    "hub." + "docker.com",
    "gh" + "cr.io",
    "qu" + "ay.io",
    "gcr" + ".io",
    "jsdel" + "ivr.net",
    "un" + "pkg.com",
    "cdn" + "js.",
    "ruby" + "gems.org",
    "crat" + "es.io",
    "proxy." + "golang.org",
    "git" + "lab.com/api",
]


def scripts(*interpreters: str) -> list[str]:
    """Scripts with one of these interpreters in their first line."""
    matching = []
    for path in tracked():
        with path.open("rb") as file:
            first_line = file.readline(100).decode(errors="replace")
        if first_line.startswith("#!") and re.search(rf"\b({'|'.join(interpreters)})\b", first_line):
            matching.append(path.relative_to(ROOT).as_posix())
    return matching


def test_shellcheck_accepts_every_shell_script():
    """shellcheck reports nothing about shell scripts, with or without a suffix."""
    executed = scripts("sh", "bash", "dash")
    assert {"deploy/servers/gunicorn/run", "deploy/postgres/start"} <= set(executed)
    sourced = [path.relative_to(ROOT).as_posix() for path in tracked() if path.suffix == ".sh"]
    done = tool("shellcheck", *executed, *sourced)
    assert done.returncode == 0, done.stdout


def test_every_script_is_executable():
    """Every file with an interpreter in its first line is executable."""
    all_scripts = scripts("sh", "bash", "python3?", "env")
    assert [name for name in all_scripts if not os.access(ROOT / name, os.X_OK)] == []


def test_ruff_accepts_every_python_file():
    """ruff reports nothing about Python files, with or without a suffix."""
    done = tool("ruff", "check", "--no-cache", ".", *scripts("python3"))
    assert done.returncode == 0, done.stdout


def test_every_python_file_is_formatted_by_ruff():
    """Python files are formatted by ruff, so reviews need not discuss style."""
    done = tool("ruff", "format", "--no-cache", "--diff", ".", *scripts("python3"))
    assert done.returncode == 0, done.stdout


def test_yaml_files_are_valid():
    """YAML files can be parsed and contain no duplicate keys."""
    names = [path.relative_to(ROOT).as_posix() for path in tracked() if path.suffix in {".yml", ".yaml"}]
    done = tool("yamllint", "-d", "{rules: {key-duplicates: enable}}", *names)
    assert done.returncode == 0, done.stdout
    # compose, not safe_load, which rejects Docker Compose's tags (!reset).
    assert all(yaml.compose((ROOT / name).read_text()) for name in names)


@pytest.mark.parametrize("registry", REGISTRIES)
def test_no_file_names_a_registry(registry):
    """The machine configures where packages and images come from, never the repository."""
    naming = [path.relative_to(ROOT).as_posix() for path in tracked() if registry.encode() in path.read_bytes()]
    assert naming == []


def test_pipfile_has_no_source():
    """Neither the Pipfile nor its lock file names a package index."""
    assert "source" not in tomllib.loads((ROOT / "Pipfile").read_text())
    assert json.loads((ROOT / "Pipfile.lock").read_text())["_meta"]["sources"] == []


@pytest.mark.needs("python")
def test_all_files_name_the_running_python_version():
    """.python-version, Pipfile and Pipfile.lock name the same Python version as the running interpreter."""
    version = (ROOT / ".python-version").read_text().strip()
    lock = json.loads((ROOT / "Pipfile.lock").read_text())["_meta"]["requires"]
    assert tomllib.loads((ROOT / "Pipfile").read_text())["requires"] == {"python_version": version} == lock
    assert ".".join(map(str, sys.version_info[:2])) == version


def test_every_locked_package_has_hashes():
    """Every package is pinned to one version and to its hashes, so that only the locked files are installed."""
    lock = json.loads((ROOT / "Pipfile.lock").read_text())
    packages = {**lock["default"], **lock["develop"]}
    assert [
        name for name, entry in packages.items() if not entry.get("hashes") or entry.get("version", "")[:2] != "=="
    ] == []
    files = [*(ROOT / "deploy/servers").glob("*/requirements.txt"), ROOT / "build-tools.txt"]
    pinned = [line for file in files for line in re.findall(r"^\w.*", file.read_text(), re.M)]
    assert all(re.fullmatch(r"\S+==\S+( --hash=sha256:[0-9a-f]{64})+", line) for line in pinned)


def test_images_are_built_from_hashed_packages_alone():
    """pip checks the hash of every package that it installs into an image, pipenv's own included.

    Only a custom app's requirements.txt may come without hashes.
    """
    dockerfile = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
    installs = re.findall(r"/pip (?:--python \S+ )?install .*?(?=&&|;|\n)", dockerfile)
    assert len(installs) == 7
    unchecked = [line.split()[-1] for line in installs if "--require-hashes" not in line]
    assert unchecked == ["requirements.txt"]


def test_env_file_is_not_in_the_build_context():
    """The build context is an allow-list without .env, and .env is not under version control."""
    lines = (ROOT / ".dockerignore").read_text().split("\n")
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*" and not any(rule.startswith("!.env") for rule in rules)
    assert ".env" in (ROOT / ".gitignore").read_text().split()
    assert ROOT / ".env" not in tracked()
