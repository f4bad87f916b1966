"""Output in the form of the platform, as in a real push."""

import subprocess
from collections.abc import Mapping

from deploy.errors import StackError

ERROR_MARK = " !     "  # before each line of an error


def step(text: str) -> None:
    """Print the headline of a step."""
    print(f"-----> {text}", flush=True)


def detail(text: str) -> None:
    """Print lines below a step."""
    for line in text.splitlines():
        print(f"       {line}", flush=True)


def run(command: list[str], environ: Mapping[str, str], folder: str) -> int:
    """Run a command with exactly this environment and print its output; return its exit status."""
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


def error(failure: StackError) -> None:
    """Print an error, each line with the platform's mark."""
    print("\n" + "\n".join(ERROR_MARK + line for line in str(failure).splitlines()), flush=True)
