"""Scripts, style and packages: linters have nothing to say, and no file names a package registry."""

import json
import os
import re
import sys

import pytest
import tomllib
import yaml

from deploy.settings import ROOT
from tests.support.repository import tool, tracked

# Split, so that this file is not its own finding. Where packages come from is the business of each machine.
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
    """The scripts with one of these interpreters in their first line."""
    found = []
    for path in tracked():
        with path.open("rb") as file:
            first = file.readline(100).decode(errors="replace")
        if first.startswith("#!") and re.search(rf"\b({'|'.join(interpreters)})\b", first):
            found.append(path.relative_to(ROOT).as_posix())
    return found


def test_shellcheck_takes_every_shell_script():
    """shellcheck has nothing to say about any shell script, whatever its name."""
    found = scripts("sh", "bash", "dash")
    assert {"deploy/servers/gunicorn/run", "deploy/postgres/start"} <= set(found)
    sourced = [path.relative_to(ROOT).as_posix() for path in tracked() if path.suffix == ".sh"]
    done = tool("shellcheck", *found, *sourced)
    assert done.returncode == 0, done.stdout


def test_every_script_can_be_run():
    """A file with an interpreter in its first line is executable, in the repository and on disk."""
    assert [name for name in scripts("sh", "bash", "python3?", "env") if not os.access(ROOT / name, os.X_OK)] == []


def test_ruff_takes_every_python_file():
    """ruff has nothing to say, also about scripts without a suffix."""
    done = tool("ruff", "check", "--no-cache", ".", *scripts("python3"))
    assert done.returncode == 0, done.stdout


def test_ruff_formats_every_python_file():
    """Python files are formatted as ruff does it, so no review is about style."""
    done = tool("ruff", "format", "--no-cache", "--diff", ".", *scripts("python3"))
    assert done.returncode == 0, done.stdout


def test_yaml_files_can_be_read():
    """Every YAML file is one, without a key given twice."""
    found = [path.relative_to(ROOT).as_posix() for path in tracked() if path.suffix in {".yml", ".yaml"}]
    done = tool("yamllint", "-d", "{rules: {key-duplicates: enable}}", *found)
    assert done.returncode == 0, done.stdout
    # Not safe_load, which does not know Compose's own tags (!reset).
    assert all(yaml.compose((ROOT / name).read_text()) for name in found)


@pytest.mark.parametrize("registry", REGISTRIES)
def test_no_file_names_a_registry(registry):
    """Where packages and images come from is set up on the machine, never in the repository."""
    found = [path.relative_to(ROOT).as_posix() for path in tracked() if registry.encode() in path.read_bytes()]
    assert found == []


def test_pipfile_has_no_source():
    """The Pipfile names no index, and its lock file none either."""
    assert "source" not in tomllib.loads((ROOT / "Pipfile").read_text())
    assert json.loads((ROOT / "Pipfile.lock").read_text())["_meta"]["sources"] == []


def test_one_python_version():
    """.python-version, Pipfile and Pipfile.lock name the same Python, the one that is running now."""
    version = (ROOT / ".python-version").read_text().strip()
    lock = json.loads((ROOT / "Pipfile.lock").read_text())["_meta"]["requires"]
    assert tomllib.loads((ROOT / "Pipfile").read_text())["requires"] == {"python_version": version} == lock
    assert ".".join(map(str, sys.version_info[:2])) == version


def test_every_locked_package_has_hashes():
    """Whatever is installed is what was locked, byte for byte."""
    lock = json.loads((ROOT / "Pipfile.lock").read_text())
    packages = {**lock["default"], **lock["develop"]}
    assert [
        name for name, entry in packages.items() if not entry.get("hashes") or entry.get("version", "")[:2] != "=="
    ] == []
    files = (ROOT / "deploy/servers").glob("*/requirements.txt")
    pinned = [line for file in files for line in re.findall(r"^\w.*", file.read_text(), re.M)]
    assert all(re.fullmatch(r"\S+==\S+( --hash=sha256:[0-9a-f]{64})+", line) for line in pinned)


def test_nothing_secret_reaches_an_image():
    """The build context is an allow-list, and .env is not on it nor under version control."""
    lines = (ROOT / ".dockerignore").read_text().split("\n")
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*" and not any(rule.startswith("!.env") for rule in rules)
    assert ".env" in (ROOT / ".gitignore").read_text().split()
    assert ROOT / ".env" not in tracked()
