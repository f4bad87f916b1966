"""Write the state directory as a tar stream, and restore it: the part of ./stack backup and ./stack restore that runs
in a container beside the app.

    python3 -m deploy.snapshot describe | write | unpack | swap | revert | discard

A SQLite database is never copied as a file, since a copy of a database that is being written to is inconsistent.
SQLite's online backup copies it as of one moment, while the app keeps running. https://sqlite.org/backup.html

Restored files are first unpacked completely into `.restore/new`. Then each file is renamed to its place, and the
replaced file is kept in `.restore/old` until `discard` removes it.
"""

import contextlib
import errno
import json
import os
import shutil
import sqlite3
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

from deploy.errors import StackError
from deploy.settings import load_settings, profile_database_url

SQLITE_HEADER = b"SQLite format 3\0"  # https://sqlite.org/fileformat.html
COMPANIONS = ("-wal", "-shm", "-journal")  # files beside a database that is in use; a copy has none
RESTORE_FOLDER = ".restore"  # in the state directory, so that files can be renamed instead of copied


def describe(settings: Mapping[str, str]) -> dict:
    """The kind of database, its file in the state directory, its schema, and the release.

    The schema is Alembic's revision; None if there is none. A PostgreSQL server is not queried here.
    """
    url, folder = settings["DATABASE_URL"], settings["STATE_DIRECTORY"]
    is_in_folder = url.startswith(f"sqlite:///{folder}/")
    file = url.removeprefix(f"sqlite:///{folder}/") if is_in_folder else None
    return {
        "kind": "postgresql" if url.startswith("postgres") else "sqlite" if is_in_folder else "other",
        "profile": url == profile_database_url(),
        "folder": folder,
        "file": file,
        "schema": _schema(Path(folder, file)) if file else None,
        "release": settings["RELEASE"],
    }


def _schema(database: Path) -> str | None:
    try:
        with contextlib.closing(_open(database, "ro")) as connection:
            return connection.execute("SELECT version_num FROM alembic_version").fetchone()[0]
    except (sqlite3.Error, TypeError):
        return None  # no database yet, or a database without Alembic


def _open(database: Path, mode: str) -> sqlite3.Connection:
    return sqlite3.connect(f"{database.absolute().as_uri()}?mode={mode}", uri=True, timeout=30)


# --- backup -----------------------------------------------------------------------------------------------------------


def write(folder: Path, stream: BinaryIO) -> None:
    """Write the persistent files of `folder` as one tar stream; each database as of one moment."""
    with tarfile.open(fileobj=stream, mode="w|") as tar:
        for path in persistent_files(folder):
            with contextlib.suppress(FileNotFoundError), _readable(path) as source:  # a temporary file may be gone
                info = tar.gettarinfo(arcname=str(path.relative_to(folder)), fileobj=source)
                tar.addfile(info, source)


def persistent_files(folder: Path) -> list[Path]:
    """The files of a state directory that belong in a backup: no locks, and no companions of a database in use."""
    paths = (path for path in folder.rglob("*") if path.relative_to(folder).parts[0] != RESTORE_FOLDER)
    return sorted(
        path
        for path in paths
        if path.is_file() and not path.is_symlink() and not path.name.endswith((".lock", *COMPANIONS))
    )


@contextlib.contextmanager
def _readable(path: Path) -> Iterator[BinaryIO]:
    """The open file; for a database an open copy of it."""
    if not is_database(path):
        with path.open("rb") as file:
            yield file
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, path.name)
        copy_database(path, copy)
        with copy.open("rb") as file:
            yield file


def is_database(path: Path) -> bool:
    """Whether the file is a SQLite database."""
    with path.open("rb") as file:
        return file.read(len(SQLITE_HEADER)) == SQLITE_HEADER


def copy_database(source: Path, target: Path) -> None:
    """Copy a SQLite database as of one moment, in a single step, while other processes read and write it."""
    with contextlib.closing(_open(source, "rw")) as live, contextlib.closing(sqlite3.connect(target)) as copy:
        live.backup(copy)


# --- restore ----------------------------------------------------------------------------------------------------------


def unpack(folder: Path, stream: BinaryIO) -> None:
    """Unpack a tar stream into `.restore/new`, synced to disk. Raises ValueError for a path outside of that folder."""
    discard(folder)
    new = folder / RESTORE_FOLDER / "new"
    new.mkdir(parents=True, mode=0o700)
    with tarfile.open(fileobj=stream, mode="r|") as tar:
        for member in tar:
            path = new / member.name
            if not member.isfile() or not path.resolve().is_relative_to(new.resolve()):
                raise ValueError(f"{member.name!r} is not a file that a backup may contain")
            path.parent.mkdir(parents=True, exist_ok=True)
            with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, member.mode & 0o700), "wb") as file:
                shutil.copyfileobj(tar.extractfile(member), file)
                file.flush()
                os.fsync(file.fileno())


def swap(folder: Path) -> None:
    """Rename the unpacked files to their places. The app must not run: it would keep using the replaced files."""
    new, old = folder / RESTORE_FOLDER / "new", folder / RESTORE_FOLDER / "old"
    for path in persistent_files(new):
        target, replaced = folder / path.relative_to(new), old / path.relative_to(new)
        replaced.parent.mkdir(parents=True, exist_ok=True)
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists():
            _checkpoint(path)
            _checkpoint(target)
            _move_companions(target, replaced)
            _keep(target, replaced)
        os.replace(path, target)


def _keep(source: Path, target: Path) -> None:
    """Give the file a second name, so that a complete file has its own at every moment; or copy it.

    SMB, some FUSE file systems and bind mounts have no hard links.
    """
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.EACCES, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK):
            raise
        shutil.copy2(source, target)


def revert(folder: Path) -> None:
    """Put the files that swap() has replaced back in their places."""
    old = folder / RESTORE_FOLDER / "old"
    for replaced in persistent_files(old) if old.is_dir() else []:
        target = folder / replaced.relative_to(old)
        for suffix in COMPANIONS:
            Path(f"{target}{suffix}").unlink(missing_ok=True)
        _move_companions(replaced, target)
        os.replace(replaced, target)


def discard(folder: Path) -> None:
    """Remove the unpacked files and the replaced files."""
    if (folder / RESTORE_FOLDER).exists():
        shutil.rmtree(folder / RESTORE_FOLDER)


def _checkpoint(path: Path) -> None:
    """Move the content of a database's write-ahead log into the file itself; leave a damaged database as it is."""
    if is_database(path):
        with contextlib.suppress(sqlite3.DatabaseError), contextlib.closing(_open(path, "rw")) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _move_companions(source: Path, target: Path) -> None:
    for suffix in COMPANIONS:
        with contextlib.suppress(FileNotFoundError):
            os.replace(f"{source}{suffix}", f"{target}{suffix}")


def main(step: str) -> None:
    """Run one step on the STATE_DIRECTORY of the environment, with stdin and stdout as the streams."""
    settings = load_settings(os.environ)
    folder = Path(settings["STATE_DIRECTORY"])
    if step == "describe":
        print(json.dumps(describe(settings)))
    elif step == "write":
        write(folder, sys.stdout.buffer)
    elif step == "unpack":
        unpack(folder, sys.stdin.buffer)
    else:
        {"swap": swap, "revert": revert, "discard": discard}[step](folder)


if __name__ == "__main__":
    try:
        main(sys.argv[1])
    except (StackError, OSError, ValueError, sqlite3.Error, tarfile.TarError) as error:
        sys.exit(f"deploy/snapshot: {error}")
