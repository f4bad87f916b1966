"""The files of one commit, as a push brings them: what is not committed is not there."""

import subprocess
from pathlib import Path

from cli import git


def export(repository: Path, commit: str, folder: Path) -> None:
    """Writes the commit's files to the folder. Raises CalledProcessError, after git has said why."""
    command = git.command("archive", commit, folder=repository)
    with subprocess.Popen(command, stdout=subprocess.PIPE) as archive:
        subprocess.run(["tar", "-x", "-C", str(folder)], stdin=archive.stdout, check=True)
    if archive.returncode:
        raise subprocess.CalledProcessError(archive.returncode, command)
