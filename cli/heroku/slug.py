"""The slug: what is left of a build to be started."""

import shutil
import subprocess
from pathlib import Path

from cli.heroku.memory import MB
from deploy.errors import StackError

LIMIT = 500 * MB  # compressed
WARN = 300 * MB


def ignore(folder: Path) -> None:
    """Takes away what .slugignore names: patterns as in .gitignore, without `!`."""
    if not (folder / ".slugignore").is_file():
        return
    for line in map(str.strip, (folder / ".slugignore").read_text().splitlines()):
        if not line or line.startswith("#"):
            continue
        for path in list(folder.glob(line.strip("/") if line.startswith("/") else f"**/{line.rstrip('/')}")):
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink(missing_ok=True)


def size(folder: Path) -> int:
    """Bytes on disk, without compression."""
    return sum(path.lstat().st_size for path in folder.rglob("*"))


def judge(folder: Path) -> str:
    """A remark on the slug's size. Raises StackError if it is too large. It is compressed only if that may matter."""
    plain = size(folder)
    if plain <= WARN:
        return f"{plain // MB} MB before compression (limit {LIMIT // MB} MB after it)"
    packed = _compressed(folder)
    if packed > LIMIT:
        largest = sorted(((size(path), path.name) for path in folder.iterdir() if path.is_dir()), reverse=True)[:3]
        raise StackError(
            f"Compiled slug size: {packed // MB} MB is too large (max is {LIMIT // MB} MB).",
            "Largest: " + ", ".join(f"{name} ({of // MB} MB)" for of, name in largest) + ".",
            "name in .slugignore what the app does not need, or take packages out of the Pipfile",
        )
    return f"{packed // MB} MB" + (": slow to start from" if packed > WARN else "")


def _compressed(folder: Path) -> int:
    with subprocess.Popen(["tar", "-C", folder, "-cz", "."], stdout=subprocess.PIPE) as tar:
        return sum(len(block) for block in iter(lambda: tar.stdout.read(MB), b""))
