"""Calls of the docker command."""

import subprocess


def docker(*args: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
    """Run `docker` with these arguments and capture its output. Raises CalledProcessError on a non-zero status."""
    return subprocess.run(["docker", *args], text=True, capture_output=True, check=True, timeout=timeout)
