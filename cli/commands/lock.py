"""Lock the packages of the Pipfile, with their hashes, in Pipfile.lock, and pipenv's own in build-tools.txt.

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
TOOLS_REPORT = "tools.json"
RESOLVE_TOOLS = [
    *("/opt/tools/bin/pip", "install", "--quiet", "--dry-run", "--ignore-installed"),
    *("--only-binary=:all:", "--report=-", "pipenv"),
]
TOOLS_HEADER = (
    "# pipenv, which checks and exports Pipfile.lock when images are built, and all that it needs. "
    "Written by ./stack lock.\n"
)
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
        resolve = ["sh", "-c", f"exec {' '.join(RESOLVE_TOOLS)} > {TOOLS_REPORT}"]
        if tool_images.run(config["services"][IMAGE]["image"], _options(folder), resolve):
            raise StackError(
                "The build tools could not be locked.",
                "The output of pip above shows the reason. Pipfile.lock and build-tools.txt are unchanged.",
                "./stack lock   (after correcting the settings of the package index: pip.conf)",
            )
        text = without_index(Path(folder, "Pipfile.lock").read_text())
        _replace("build-tools.txt", tools(Path(folder, TOOLS_REPORT).read_text()))
    _replace("Pipfile.lock", text)
    locked = json.loads(text)
    say(f"Pipfile.lock: {len(locked['default'])} packages, and {len(locked['develop'])} for development.")
    return 0


def _replace(name, text):
    new = ROOT / f"{name}.new"
    new.write_text(text)
    new.replace(ROOT / name)


def tools(report):
    """The text of build-tools.txt: what pip's installation report lists, with hashes.

    https://pip.pypa.io/en/stable/reference/installation-report/
    """
    lines = [
        f"{one['metadata']['name']}=={one['metadata']['version']} "
        f"--hash=sha256:{one['download_info']['archive_info']['hashes']['sha256']}\n"
        for one in json.loads(report)["install"]
    ]
    return TOOLS_HEADER + "".join(sorted(lines))


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
