"""A pytest plugin for ./stack test without a Docker engine: leave out what cannot run on this machine, and count it.

The rule: a test needs what its marks name (@pytest.mark.needs, also of its module or parameter), what its fixtures need
(FIXTURES), and, without a mark, what its folder needs (FOLDERS). A test is left out if one of its needs is missing.

./stack test with an engine does not load this plugin: in the test image a missing program is a failure.
"""

import os
import platform
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from cli import engine, native
from deploy.settings import ROOT

FOLDERS = {"tests/live": "engine", "tests/browser": "engine"}
FIXTURES = {"compose": "docker compose", "postgresql": "postgresql", "redis_url": "redis-server"}
LEFT_OUT = pytest.StashKey[Counter]()


def _has_compose() -> bool:
    docker = shutil.which("docker")
    return bool(docker) and subprocess.run([docker, "compose", "version"], capture_output=True).returncode == 0


# What a need means if it is not the name of a program, and how a missing one is reported.
CHECKS = {
    "engine": lambda: False,
    "docker compose": _has_compose,
    "nginx": lambda: bool(_program("nginx")) and native.BROTLI.exists(),
    "no traces of an engine": lambda: not any(path.exists() for path in engine.DATA),
    "postgresql": lambda: any(Path("/usr/lib/postgresql").glob("*/bin")),
    "root": lambda: os.geteuid() == 0,
    "python": lambda: _is_running_python((ROOT / ".python-version").read_text().strip()),
}
NAMES = {
    "engine": "a Docker engine",
    "nginx": "Nginx with its Brotli module",
    "no traces of an engine": "a machine that never had a Docker engine",
    "postgresql": "PostgreSQL",
    "root": "root",
    "python": "the Python version of .python-version",
}


def _program(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")


def _is_running_python(version: str) -> bool:
    return platform.python_version().startswith(f"{version}.")


def needs_of(item) -> list[str]:
    """Return what a test needs, without duplicates."""
    marks = [need for mark in item.iter_markers("needs") for need in mark.args]
    fixtures = [need for name, need in FIXTURES.items() if name in item.fixturenames]
    folders = [need for folder, need in FOLDERS.items() if item.nodeid.startswith(f"{folder}/") and not marks]
    return list(dict.fromkeys([*folders, *marks, *fixtures]))


@pytest.hookimpl(trylast=True)  # after -k and --deselect: only selected tests are counted
def pytest_collection_modifyitems(config, items):
    missing: dict[str, bool] = {}
    left_out = config.stash[LEFT_OUT] = Counter()
    deselected = []
    for item in items:
        for need in needs_of(item):
            if need not in missing:
                missing[need] = not CHECKS.get(need, lambda need=need: bool(_program(need)))()
            if missing[need]:
                left_out[need] += 1
                deselected.append(item)
                break
    items[:] = [item for item in items if item not in set(deselected)]
    config.hook.pytest_deselected(items=deselected)


def pytest_sessionfinish(session):
    if hasattr(session.config, "workeroutput"):  # of a process of pytest-xdist, for the one that prints
        session.config.workeroutput["left_out"] = dict(session.config.stash.get(LEFT_OUT, {}))


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node):
    if "left_out" in getattr(node, "workeroutput", {}):  # every process has collected the same tests
        node.config.stash[LEFT_OUT] = Counter(node.workeroutput["left_out"])


@pytest.hookimpl(tryfirst=True)
def pytest_unconfigure(config):
    if not hasattr(config, "workerinput") and LEFT_OUT in config.stash:
        config.pluginmanager.get_plugin("terminalreporter").write_line(report(config.stash[LEFT_OUT]))


def report(left_out: Counter) -> str:
    """Return the last line of the output: how many tests were not run, and why."""
    if not left_out:
        return "All selected tests were run."
    reasons = ", ".join(f"{number} need {NAMES.get(need, need)}" for need, number in left_out.most_common())
    return f"{left_out.total()} tests were not run on this machine: {reasons}."
