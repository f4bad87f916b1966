"""The slug: the files that a build produces for the dynos. Apply .slugignore and check the size."""

import shutil
import subprocess
from pathlib import Path

from cli.heroku.memory import MB
from deploy.errors import StackError

LIMIT = 500 * MB  # compressed
WARN = 300 * MB


def ignore(folder: Path) -> None:
    """Remove the files that .slugignore names, with patterns as in .gitignore, but without `!`."""
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


def check_size(folder: Path) -> str:
    """The size of the slug, for the output. Raise StackError if it is too large.

    The slug is compressed only if its size without compression is near the limit.
    """
    plain = size(folder)
    if plain <= WARN:
        return f"{plain // MB} MB before compression (limit: {LIMIT // MB} MB, compressed)"
    packed = _compressed(folder)
    if packed > LIMIT:
        largest = sorted(((size(path), path.name) for path in folder.iterdir() if path.is_dir()), reverse=True)[:3]
        raise StackError(
            f"Compiled slug size: {packed // MB} MB is too large (max is {LIMIT // MB} MB).",
            "Largest: " + ", ".join(f"{name} ({of // MB} MB)" for of, name in largest) + ".",
            "list files that the app does not need in .slugignore, or remove packages from the Pipfile",
        )
    return f"{packed // MB} MB" + (": large slugs start slowly" if packed > WARN else "")


def _compressed(folder: Path) -> int:
    with subprocess.Popen(["tar", "-C", folder, "-cz", "."], stdout=subprocess.PIPE) as tar:
        return sum(len(block) for block in iter(lambda: tar.stdout.read(MB), b""))
