"""Export the files of one commit, as a push transfers them: without uncommitted changes."""

import subprocess
from pathlib import Path

from cli import git


def export(repository: Path, commit: str, folder: Path) -> None:
    """Write the files of the commit to a folder. Raise CalledProcessError after git has printed the reason."""
    command = git.command("archive", commit, folder=repository)
    with subprocess.Popen(command, stdout=subprocess.PIPE) as archive:
        subprocess.run(["tar", "-x", "-C", str(folder)], stdin=archive.stdout, check=True)
    if archive.returncode:
        raise subprocess.CalledProcessError(archive.returncode, command)
