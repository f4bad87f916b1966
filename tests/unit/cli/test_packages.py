"""./stack release --upgrade and up --upgrade: what is built, and what is reported about Debian's packages."""

import argparse
import contextlib

import pytest

from cli import compose, console, main, native, packages, project, rollout
from cli.commands import release, up
from deploy.errors import EXIT_USAGE, StackError

BEFORE = {"openssl": "3.5.1-1", "perl": "5.40", "tzdata": "2026a"}
AFTER = {"openssl": "3.5.1-1+deb13u1", "tzdata": "2026a", "zlib1g": "1.3"}
CONFIG = {
    "name": "tripod",
    "services": {
        "nginx": {"image": "tripod-nginx", "build": {"context": "."}},
        "web": {"image": "tripod-web", "build": {"args": {"BASE_IMAGE": "debian:trixie-slim"}}},
        "migrate": {"image": "tripod-web"},
    },
}


def test_changes_have_both_versions():
    """Each updated, removed and new package is named with its versions; unchanged ones are not."""
    assert packages.changes(BEFORE, AFTER) == [
        "openssl 3.5.1-1 → 3.5.1-1+deb13u1",
        "perl 5.40 → (removed)",
        "zlib1g (not installed) → 1.3",
    ]


@pytest.fixture
def built(monkeypatch):
    """Record builds and rollouts; before the first build the images have BEFORE, then AFTER."""
    done = []
    monkeypatch.setattr(packages, "installed", lambda image: AFTER if done else BEFORE)
    monkeypatch.setattr(packages.base_image, "update", lambda config: None)
    monkeypatch.setattr(console, "run", lambda title, argv, env, fix: done.append(argv[2:]))
    monkeypatch.setattr(compose, "config", lambda settings=None: CONFIG)
    monkeypatch.setattr(project, "check_settings", lambda config: None)
    monkeypatch.setattr(release.base_image, "ensure_for", lambda config: None)
    monkeypatch.setattr(rollout, "require_engine", lambda: None)
    monkeypatch.setattr(rollout, "exclusive", contextlib.nullcontext)
    monkeypatch.setattr(rollout, "repair", lambda stack: "old")
    monkeypatch.setattr(rollout, "roll_out", lambda stack, old, plan: done.append((old, plan.build)))
    return done


def test_release_on_new_packages(built, capsys):
    """`release --upgrade` builds all images without the cache, says what changed in each, and rolls that image out."""
    assert main.main(["release", "--upgrade"]) == 0
    assert built == [["build", "--no-cache"], ("old", False)]
    output = capsys.readouterr().out
    assert "  tripod-web: 3 of 3 Debian packages changed\n    openssl 3.5.1-1 → 3.5.1-1+deb13u1\n" in output
    assert output.count("tripod-nginx: 3 of 3") == output.count("tripod-web: 3 of 3") == 1
    assert "To replace their containers: ./stack up" in output


def test_plain_release_uses_the_cache(built):
    """Without --upgrade, the rollout builds the image of the app with the cache."""
    assert main.main(["release"]) == 0
    assert built == [("old", True)]


def test_upgrade_without_a_build_is_refused(capsys):
    """--upgrade and --no-build contradict each other."""
    assert main.main(["release", "--upgrade", "--no-build"]) == EXIT_USAGE
    assert "not allowed with" in capsys.readouterr().err


def test_plain_processes_have_no_images(monkeypatch):
    """`up --native --upgrade` is refused with the command that upgrades the packages of the host."""
    monkeypatch.setattr(native, "up", None)
    with pytest.raises(StackError) as raised:
        up.run(argparse.Namespace(server=None, native=True, prepare=False, upgrade=True, yes=False))
    assert "apt-get upgrade" in raised.value.fix
