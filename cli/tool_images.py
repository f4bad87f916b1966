"""Build and run the tool images: lock, smoke, test and bench."""

import os
import subprocess
import sys

from cli import compose, console

INTERRUPT_LIMIT = 30  # seconds after Ctrl-C; pytest may have to stop the stacks that its fixtures started


def build(service):
    """Build one image of compose.tools.yml."""
    build_command = compose.command("build", service, tools=True)
    fix = " ".join(build_command)
    console.run(f"building the image {service}", build_command, env=compose.environment(), fix=fix)


def run(image, options, command):
    """Run a command in a new container in the host's network and return its exit status. Ctrl-C interrupts it."""
    name = f"tripod-{os.getpid()}"
    terminal = ["--tty"] if sys.stdout.isatty() else []
    argv = ["docker", "run", "--rm", "--init", "--name", name, "--network", "host", *terminal]
    argv += ["--env", "PYTHONDONTWRITEBYTECODE=1", *options, image, *command]
    # In its own session, Ctrl-C reaches ./stack alone, which passes it on once, so that pytest can write its report.
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
