"""Calls of the docker command."""

import subprocess

from deploy.errors import StackError


def docker(*args: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
    """Run `docker` with these arguments and capture its output. Raises StackError on a non-zero status."""
    done = subprocess.run(["docker", *args], text=True, capture_output=True, timeout=timeout)
    if done.returncode:
        raise StackError(f"docker {args[0]} exited with {done.returncode}.", done.stderr, f"docker {' '.join(args)}")
    return done
