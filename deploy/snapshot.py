"""The state directory as a tar stream, and back: `./stack backup` and `./stack restore` run this beside the app.

    python3 -m deploy.snapshot describe | write | unpack | swap | revert | discard

A SQLite database is never copied as a file, for a copy of one that is being written to is half of it: SQLite's online
backup gives the state of one moment, without stopping anybody. https://sqlite.org/backup.html

What is restored lies complete in `.restore/new` first; then each file takes its place by a rename, and what was there
is kept in `.restore/old` until `discard` removes it.
"""

import contextlib
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

HEADER = b"SQLite format 3\0"  # https://sqlite.org/fileformat.html
COMPANIONS = ("-wal", "-shm", "-journal")  # of a database that is in use; a copy has none
FOLDER = ".restore"  # in the state directory, so that a rename is enough


def describe(settings: Mapping[str, str]) -> dict:
    """What the app keeps where: kind of database, its file in the state directory, its schema, and the release.

    The schema is Alembic's revision, None where there is none; of a PostgreSQL server nobody is asked here.
    """
    url, folder = settings["DATABASE_URL"], settings["STATE_DIRECTORY"]
    inside = url.startswith(f"sqlite:///{folder}/")
    file = url.removeprefix(f"sqlite:///{folder}/") if inside else None
    return {
        "kind": "postgresql" if url.startswith("postgres") else "sqlite" if inside else "other",
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
        return None  # no database yet, or none of Alembic's


def _open(database: Path, mode: str) -> sqlite3.Connection:
    return sqlite3.connect(f"{database.absolute().as_uri()}?mode={mode}", uri=True, timeout=30)


# --- out ------------------------------------------------------------------------------------------------------


def write(folder: Path, stream: BinaryIO) -> None:
    """Write all files of `folder` that must survive, as one tar stream; each database as of one moment."""
    with tarfile.open(fileobj=stream, mode="w|") as tar:
        for path in files(folder):
            with contextlib.suppress(FileNotFoundError), _readable(path) as source:  # a draft may be gone by now
                info = tar.gettarinfo(arcname=str(path.relative_to(folder)), fileobj=source)
                tar.addfile(info, source)


def files(folder: Path) -> list[Path]:
    """The files of a state directory that must survive: no locks, nothing that belongs to a database in use."""
    found = (path for path in folder.rglob("*") if path.relative_to(folder).parts[0] != FOLDER)
    return sorted(
        path
        for path in found
        if path.is_file() and not path.is_symlink() and not path.name.endswith((".lock", *COMPANIONS))
    )


@contextlib.contextmanager
def _readable(path: Path) -> Iterator[BinaryIO]:
    """The file, open to be read; of a database a copy."""
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
    with path.open("rb") as file:
        return file.read(len(HEADER)) == HEADER


def copy_database(source: Path, target: Path) -> None:
    """Copy a SQLite database as it is at one moment, all in one step, while others read and write it."""
    with contextlib.closing(_open(source, "rw")) as live, contextlib.closing(sqlite3.connect(target)) as copy:
        live.backup(copy)


# --- back -----------------------------------------------------------------------------------------------------


def unpack(folder: Path, stream: BinaryIO) -> None:
    """Put the files of a tar stream into `.restore/new`, on disk. ValueError for a name that leads out of it."""
    discard(folder)
    new = folder / FOLDER / "new"
    new.mkdir(parents=True, mode=0o700)
    with tarfile.open(fileobj=stream, mode="r|") as tar:
        for member in tar:
            path = new / member.name
            if not member.isfile() or not path.resolve().is_relative_to(new.resolve()):
                raise ValueError(f"{member.name!r} is no file that a backup may hold")
            path.parent.mkdir(parents=True, exist_ok=True)
            with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, member.mode & 0o700), "wb") as file:
                shutil.copyfileobj(tar.extractfile(member), file)
                file.flush()
                os.fsync(file.fileno())


def swap(folder: Path) -> None:
    """Give the unpacked files their places. The app must not run: it would go on with the old files."""
    new, old = folder / FOLDER / "new", folder / FOLDER / "old"
    for path in files(new):
        target, kept = folder / path.relative_to(new), old / path.relative_to(new)
        kept.parent.mkdir(parents=True, exist_ok=True)
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists():
            _settle(path)
            _settle(target)
            _move_companions(target, kept)
            os.link(target, kept)  # so that there is a complete file under its name at every moment
        os.replace(path, target)


def revert(folder: Path) -> None:
    """Put back what swap() has kept."""
    old = folder / FOLDER / "old"
    for kept in files(old) if old.is_dir() else []:
        target = folder / kept.relative_to(old)
        for suffix in COMPANIONS:
            Path(f"{target}{suffix}").unlink(missing_ok=True)
        _move_companions(kept, target)
        os.replace(kept, target)


def discard(folder: Path) -> None:
    """Remove what was unpacked and what was kept."""
    if (folder / FOLDER).exists():
        shutil.rmtree(folder / FOLDER)


def _settle(path: Path) -> None:
    """Put what is in a database's write-ahead log into the file itself; a damaged one is left as it is."""
    if is_database(path):
        with contextlib.suppress(sqlite3.DatabaseError), contextlib.closing(_open(path, "rw")) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _move_companions(source: Path, target: Path) -> None:
    for suffix in COMPANIONS:
        with contextlib.suppress(FileNotFoundError):
            os.replace(f"{source}{suffix}", f"{target}{suffix}")


def main(step: str) -> None:
    """One step, on the state directory that the environment names; streams are stdin and stdout."""
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
