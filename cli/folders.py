"""Folders that root makes for the user of plain processes (cli/native.py).

The app runs as that user, and an attacker may have taken it over. Root therefore writes only into folders that the user
cannot change, and follows no link that it may have made.
"""

import contextlib
import os
import shutil
import stat
from dataclasses import dataclass

from cli.console import say
from deploy.errors import EXIT_CONFIG, StackError

ROOT_USER = 0


@dataclass(frozen=True)
class User:
    """The ids of the user, who is in no other group."""

    uid: int
    gid: int

    def can_change(self, folder):
        """Whether the user could replace an entry of the folder, by a link for example."""
        status = folder.stat()
        if status.st_uid == self.uid:
            return True
        if status.st_mode & stat.S_ISVTX:  # as in /tmp: entries of others cannot be replaced
            return False
        return bool(status.st_mode & (stat.S_IWOTH | (stat.S_IWGRP if status.st_gid == self.gid else 0)))


def make_for_root(path, user, keep):
    """Make a folder of root that the user can only read. A folder of the user is taken over, for older versions.

    Then links and entries of the user are removed, except the folders named in `keep`.
    """
    with contextlib.suppress(FileExistsError):
        path.mkdir()
    with _opened(path) as folder:
        was_of_user = os.fstat(folder).st_uid != ROOT_USER
        os.fchown(folder, ROOT_USER, user.gid)
        os.fchmod(folder, 0o750)
    for entry in path.iterdir() if was_of_user else ():
        status = entry.lstat()
        is_kept = entry.name in keep and stat.S_ISDIR(status.st_mode)
        if not is_kept and (status.st_uid != ROOT_USER or stat.S_ISLNK(status.st_mode)):
            say(f"  {entry} was removed: the app could have made it.")
            _remove(entry)


def make_for_user(path, user):
    """Make a folder of the user. Raise StackError if the user could make root change another folder instead."""
    existing = next(folder for folder in path.parents if folder.exists()).resolve()
    if (culprit := next(filter(user.can_change, (existing, *existing.parents)), None)) is not None:
        raise StackError(
            f"Root cannot make {path} safely.",
            f"The user of the app can change {culprit}, and replace the new folder by a link to any other.",
            f"make {path} as the user of the app, or set another folder",
            EXIT_CONFIG,
        )
    for folder in (*reversed(path.parents), path):
        with contextlib.suppress(FileExistsError):
            folder.mkdir(0o750 if folder == path else 0o755)
    with _opened(path) as folder:
        if os.fstat(folder).st_uid == ROOT_USER:
            os.fchown(folder, user.uid, user.gid)


@contextlib.contextmanager
def _opened(path):
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _remove(entry):
    if entry.is_dir() and not entry.is_symlink():
        shutil.rmtree(entry)  # follows no link: shutil.rmtree.avoids_symlink_attacks
    else:
        entry.unlink()


def open_new(path, mode):
    """Create a file, in place of an older one or a link, and return it open for writing."""
    path.unlink(missing_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    return open(path, "wb", opener=lambda name, _: os.open(name, flags, mode))
