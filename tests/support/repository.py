"""The files of the repository, and tools that run in its root folder."""

import os
import subprocess
from pathlib import Path

from deploy.settings import ROOT


def tool(*command: str | Path, **environ: str) -> subprocess.CompletedProcess:
    """Run a tool in the repository's root folder."""
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, env={**os.environ, **environ})


def tracked() -> list[Path]:
    """The files of the repository that are under version control, or new and not ignored."""
    listed = tool("git", "-c", "safe.directory=*", "ls-files", "--cached", "--others", "--exclude-standard")
    assert listed.returncode == 0, listed.stderr
    return [ROOT / name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]
