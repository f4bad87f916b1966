"""Output in the platform's own form, which people know from a push."""

import subprocess
from collections.abc import Mapping

from deploy.errors import StackError

ERROR_MARK = " !     "  # the platform's own, in front of every line of an error


def step(text: str) -> None:
    """A line that begins a part of the work."""
    print(f"-----> {text}", flush=True)


def detail(text: str) -> None:
    """Lines below a step."""
    for line in text.splitlines():
        print(f"       {line}", flush=True)


def run(command: list[str], environ: Mapping[str, str], folder: str) -> int:
    """Runs a command with exactly this environment and shows what it says; returns its exit status."""
    with subprocess.Popen(
        command,
        env=dict(environ),
        cwd=folder,
        text=True,
        errors="replace",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as child:
        for line in child.stdout or ():
            detail(line.rstrip("\n"))
    return child.returncode


def error(reason: StackError) -> None:
    """Print an error, marked as the platform marks its own."""
    print("\n" + "\n".join(ERROR_MARK + line for line in str(reason).splitlines()), flush=True)
