"""Images are built again on Debian's newest packages, and later builds keep them."""

import json

import pytest

from cli import compose, console, packages
from tests.live.stack import docker, image_name

# The layer has a package with another version each time it is built.
DOCKERFILE = r"""
ARG BASE_IMAGE
FROM ${BASE_IMAGE}
USER root
RUN printf 'Package: clock\nStatus: install ok installed\nArchitecture: all\nMaintainer: -\nVersion: %s\n' \
    "$(date +%s%N)" >> /var/lib/dpkg/status && printf 'Description: -\n\n' >> /var/lib/dpkg/status
"""


@pytest.fixture
def image(tmp_path, monkeypatch) -> str:
    """The name of the only image of a small project, which takes the place of the repository."""
    name = f"{image_name('web')}-upgrade"
    build = {"context": ".", "args": {"BASE_IMAGE": image_name("web")}}
    services = {"web": {"image": name, "build": build}}
    (tmp_path / "Dockerfile").write_text(DOCKERFILE)
    (tmp_path / "compose.yml").write_text(json.dumps({"name": "upgrade", "services": services}))
    for attribute, value in {"ROOT": tmp_path, "STATE": tmp_path / ".stack", "LOG": tmp_path / ".stack/log"}.items():
        monkeypatch.setattr(console, attribute, value)
    yield name
    docker("image", "rm", "--force", name, check=False)


def test_upgrade_is_kept(image, capsys):
    """`--upgrade` prints old and new version of each changed package, and a plain build afterwards keeps the new ones.

    Docker's build cache alone would bring the old packages back.
    """
    env = compose.environment()
    console.run("building", compose.command("build"), env=env, fix="-")
    old = packages.installed(image)
    packages.rebuild(compose.config(), env, fix="-")
    new = packages.installed(image)
    changed = capsys.readouterr().out
    assert old["clock"] != new["clock"] and len(new) > 50
    assert f"{image}: 1 of {len(new)} Debian packages changed\n    clock {old['clock']} → {new['clock']}\n" in changed
    console.run("building", compose.command("build"), env=env, fix="-")
    assert packages.installed(image) == new
