"""Pin the Pipfile's packages, with hashes, in Pipfile.lock.

Type it after every edit of the Pipfile: builds refuse a lock that does not fit. Neither file names a package index,
each machine uses its own. So the lock is made without pip's own settings, which would otherwise become part of its
hash and let other machines refuse it.
"""

import json
import tempfile
from pathlib import Path

from cli import base_image, build_inputs, compose, console, engine, tool_images
from cli.console import ROOT
from deploy.errors import StackError

GROUP = "Develop"
IMAGE = "lock"
FILES = ("Pipfile", "Pipfile.lock")
CERTIFICATES = ("PIP_CERT", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")


def add_arguments(parser):
    """`lock` has no options."""


def run(args):
    """Lock in a container, on copies; then put the result in place in one step."""
    engine.ensure()
    config = compose.config(profiles=["test"])
    base_image.ensure_for(config)
    tool_images.build(IMAGE)
    with tempfile.TemporaryDirectory(dir=console.state_folder()) as folder:
        for name in FILES:
            if (ROOT / name).exists():
                Path(folder, name).write_text((ROOT / name).read_text())
        command = ["/opt/tools/bin/pipenv", "lock", "--quiet"]
        if tool_images.run(config["services"][IMAGE]["image"], _options(folder), command):
            raise StackError(
                "The packages could not be locked.",
                "pipenv says why above. Pipfile.lock is as it was.",
                "correct the Pipfile, or the way to the package index, then: ./stack lock",
            )
        draft = Path(folder, "Pipfile.lock")
        text = without_index(draft.read_text())
    target = ROOT / "Pipfile.lock"
    new = target.with_suffix(".new")
    new.write_text(text)
    new.replace(target)
    print(f"Pipfile.lock pins {len(json.loads(text)['default'])} packages, and more for development.")
    return 0


def without_index(text):
    """The lock's text without the index that it was made with: pipenv then uses each machine's own."""
    lock = json.loads(text)
    lock["_meta"]["sources"] = []
    return json.dumps(lock, indent=4, sort_keys=True) + "\n"


def _options(folder):
    """Mounts and settings for pipenv; pip's own settings stay outside."""
    options = ["--volume", f"{folder}:/lock", "--workdir", "/lock", "--env", "PIP_CONFIG_FILE=/dev/null"]
    inputs = build_inputs.environment()
    for name, value in inputs.items():
        if name.lower() in build_inputs.PROXIES:
            options += ["--env", f"{name}={value}"]
    bundle = inputs.get("CA_BUNDLE")
    if bundle:
        options += ["--volume", f"{bundle}:{build_inputs.BUNDLE_IN_BUILD}:ro"]
        options += [word for name in CERTIFICATES for word in ("--env", f"{name}={build_inputs.BUNDLE_IN_BUILD}")]
    return options
