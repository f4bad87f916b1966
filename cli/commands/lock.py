"""Lock the packages of the Pipfile, with their hashes, in Pipfile.lock.

Run this after every edit of the Pipfile: builds reject a lock file that does not fit the Pipfile.

Neither file names a package index, so that each machine can use its own. The lock file is therefore made without pip's
settings: they would become part of its hash, and other machines would reject it.

Examples:
  ./stack lock                                  lock the current versions
  ./stack lock && ./stack release               and release them
"""

import json
import tempfile
from pathlib import Path

from cli import base_image, build_inputs, compose, console, engine, proxy, tool_images
from cli.console import ROOT, say
from deploy.errors import StackError

GROUP = "Develop"
IMAGE = "lock"
FILES = ("Pipfile", "Pipfile.lock")
CERTIFICATES = ("PIP_CERT", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")


def add_arguments(parser):
    """Add no options."""


def run(args):
    """Run pipenv in a container on copies of the files, and replace Pipfile.lock by the result."""
    engine.ensure()
    config = compose.config(tools=True)
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
                "The output of pipenv above shows the reason. Pipfile.lock is unchanged.",
                "./stack lock   (after correcting the Pipfile, or the settings of the package index: pip.conf)",
            )
        draft = Path(folder, "Pipfile.lock")
        text = without_index(draft.read_text())
    target = ROOT / "Pipfile.lock"
    new = target.with_suffix(".new")
    new.write_text(text)
    new.replace(target)
    locked = json.loads(text)
    say(f"Pipfile.lock: {len(locked['default'])} packages, and {len(locked['develop'])} for development.")
    return 0


def without_index(text):
    """The text of the lock file without its package index, so that pipenv uses that of each machine."""
    lock = json.loads(text)
    lock["_meta"]["sources"] = []
    return json.dumps(lock, indent=4, sort_keys=True) + "\n"


def _options(folder):
    """Mounts and environment for pipenv, without pip's settings."""
    options = ["--volume", f"{folder}:/lock", "--workdir", "/lock", "--env", "PIP_CONFIG_FILE=/dev/null"]
    inputs = build_inputs.environment()
    for name, value in proxy.inherited(inputs).items():
        options += ["--env", f"{name}={value}"]
    bundle = inputs.get("CA_BUNDLE")
    if bundle:
        options += ["--volume", f"{bundle}:{build_inputs.BUNDLE_IN_BUILD}:ro"]
        options += [word for name in CERTIFICATES for word in ("--env", f"{name}={build_inputs.BUNDLE_IN_BUILD}")]
    return options
