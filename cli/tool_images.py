"""Running pytest in a container of a test image."""

import os
import subprocess
import sys

from cli import compose, console

INTERRUPT_LIMIT = 30  # seconds for pytest to end its fixtures, which may have stacks to stop


def build(service):
    """Build one image of the profile `test`."""
    argv = compose.command("build", service, profiles=["test"])
    fix = f"docker compose --profile test build {service}"
    console.run(f"building the image {service}", argv, env=compose.environment(), fix=fix)


def run(image, options, command):
    """Run a command in a new container, in the host's network, and return its status; Ctrl-C reaches it."""
    name = f"tripod-{os.getpid()}"
    terminal = ["--tty"] if sys.stdout.isatty() else []
    argv = ["docker", "run", "--rm", "--init", "--name", name, "--network", "host", *terminal]
    argv += ["--env", "PYTHONDONTWRITEBYTECODE=1", *options, image, *command]
    # A session of its own: Ctrl-C comes to ./stack alone, which hands it on and lets pytest end its report.
    child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, start_new_session=True)
    try:
        return child.wait()
    except BaseException:
        _interrupt(name, child)
        raise


def _interrupt(name, child):
    console.capture(["docker", "kill", "--signal", "INT", name])
    try:
        child.wait(timeout=INTERRUPT_LIMIT)
    except BaseException:
        console.capture(["docker", "rm", "--force", name])
        raise
