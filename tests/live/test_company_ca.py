"""The CA of a company is in the image of the app, and a changed one gets there."""

import os
import secrets
import subprocess

import pytest

from cli import build_inputs
from tests.live.stack import ROOT, docker
from tests.support.certificates import make_ca

# Counts the certificate in the bundle that the app's libraries read, with the environment of the app.
COUNT = "import os, sys; print(open(os.environ['SSL_CERT_FILE']).read().count(sys.argv[1]))"


@pytest.fixture
def image():
    """The tag of an image that is removed afterwards."""
    tag = f"ca-{secrets.token_hex(4)}"
    yield tag
    docker("image", "rm", "--force", f"tripod-web:{tag}", check=False)


def build(tag: str, bundle: str) -> None:
    """Build the image of the app as ./stack does with this CA_BUNDLE."""
    inputs = build_inputs.environment(os.environ | {"CA_BUNDLE": bundle})
    env = os.environ | inputs | {"CA_BUNDLE": bundle, "IMAGE_TAG": tag, "COMPOSE_ENV_FILES": "/dev/null"}
    done = subprocess.run(["docker", "compose", "build", "web"], cwd=ROOT, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_company_ca_is_in_the_image(image, tmp_path):
    """The app trusts the certificate in CA_BUNDLE; after CA_BUNDLE changes, the next build has the new one alone."""
    for name in ("old", "new"):
        make_ca(tmp_path, name)
        (tmp_path / "bundle.pem").write_text((tmp_path / f"{name}.pem").read_text())
        build(image, str(tmp_path / "bundle.pem"))
        counts = {}
        for other in ("old", "new")[: 2 if name == "new" else 1]:
            line = (tmp_path / f"{other}.pem").read_text().splitlines()[5]
            run = ("run", "--rm", "--network", "none", "--no-healthcheck", f"tripod-web:{image}")
            counts[other] = docker(*run, "deploy/exec", "python3", "-c", COUNT, line).stdout.strip()
        assert counts == ({"old": "1"} if name == "old" else {"old": "0", "new": "1"})
