"""The file that `./stack backup` writes: a zip of what was in the state directory, a dump of PostgreSQL if that is the
database, and a manifest with a checksum of each.
"""

import contextlib
import hashlib
import json
import os
import tempfile
import zipfile
import zlib
from pathlib import Path

from deploy.errors import StackError

FORMAT = 1
MANIFEST = "manifest.json"
STATE = "state.tar"  # made and read by deploy/snapshot.py
DUMP = "database.dump"  # pg_dump's custom format
CHUNK = 1024 * 1024


class Draft:
    """An archive in the making."""

    def __init__(self, file):
        self._zip = zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED)
        self._members = {}

    def add(self, name, stream, tick):
        """Append all of a stream as one member; `tick` is called with what there is so far."""
        digest, size = hashlib.sha256(), 0
        with self._zip.open(name, "w", force_zip64=True) as member:
            while chunk := stream.read(CHUNK):
                member.write(chunk)
                digest.update(chunk)
                size += len(chunk)
                tick(in_words(size))
        self._members[name] = {"bytes": size, "sha256": digest.hexdigest()}

    def finish(self, **manifest):
        """Write the manifest, with which the archive is whole."""
        text = json.dumps({"format": FORMAT, **manifest, "members": self._members}, indent=2)
        self._zip.writestr(MANIFEST, text)
        self._zip.close()

    def give_up(self):
        """Leave the file alone from now on, which may be closed already when Python would do it."""
        with contextlib.suppress(OSError, ValueError):
            self._zip.close()


@contextlib.contextmanager
def create(path):
    """A Draft that becomes the file when all went well, readable by its owner alone; else there is no file."""
    try:
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mode 0600
    except OSError as error:
        raise _unwritable(path, error) from None
    try:
        with open(descriptor, "wb") as file:
            draft = Draft(file)
            try:
                yield draft
            finally:
                draft.give_up()
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except OSError as error:
        raise _unwritable(path, error) from None
    finally:
        Path(name).unlink(missing_ok=True)


def _unwritable(path, error):
    return StackError(
        f"{path} cannot be written: {error.strerror or error}.",
        "There is no backup yet, and no half of one was left.",
        "./stack backup /a/folder/with/space/backup.zip",
    )


class Archive:
    """A backup whose every byte has been checked."""

    def __init__(self, path, tick):
        """Raises StackError when the file is not a backup, or not whole."""
        try:
            self._zip = zipfile.ZipFile(path)
            self.manifest = json.loads(self._zip.read(MANIFEST))
            self._check_format(path)
            for name, known in self.manifest["members"].items():
                self._check_member(name, known, tick)
        except OSError as error:
            raise _unusable(path, f"it cannot be read: {error.strerror or error}") from None
        except (zipfile.BadZipFile, zlib.error, EOFError) as error:
            raise _unusable(path, f"it is damaged or cut short, or no backup at all ({error})") from None
        except (KeyError, TypeError, ValueError):
            raise _unusable(path, "it is a zip, but none that ./stack backup has made") from None

    def _check_format(self, path):
        if self.manifest["format"] > FORMAT:
            raise _unusable(path, "a newer release of this stack has made it, in a format unknown to this one")

    def _check_member(self, name, known, tick):
        digest, size = hashlib.sha256(), 0
        with self.open(name) as member:
            while chunk := member.read(CHUNK):
                digest.update(chunk)
                size += len(chunk)
                tick(in_words(size))
        if (digest.hexdigest(), size) != (known["sha256"], known["bytes"]):
            raise zipfile.BadZipFile(f"{name} is not what was saved")

    def open(self, name):
        """A member, open to be read."""
        return self._zip.open(name)


def _unusable(path, reason):
    return StackError(
        f"{path} cannot be restored: {reason}.",
        "The data that is there would be replaced by something broken. Nothing was changed.",
        "./stack restore FILE   (a file that ./stack backup has written, whole)",
    )


def in_words(size):
    """A number of bytes as people say it: `14 kB`, `3.2 MB`."""
    for unit in ("bytes", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit != "MB" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"
