"""The file format of ./stack backup: a zip file with the state directory, a dump of PostgreSQL (if that is the
database), and a manifest with the size and checksum of each.
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
STATE = "state.tar"  # written and read by deploy/snapshot.py
DUMP = "database.dump"  # pg_dump's custom format
CHUNK = 1024 * 1024


class Draft:
    """An archive that is being written."""

    def __init__(self, file):
        self._zip = zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED)
        self._members = {}

    def add(self, name, stream, tick):
        """Write a stream as one member; `tick` is called with the size so far."""
        digest, size = hashlib.sha256(), 0
        with self._zip.open(name, "w", force_zip64=True) as member:
            while chunk := stream.read(CHUNK):
                member.write(chunk)
                digest.update(chunk)
                size += len(chunk)
                tick(format_size(size))
        self._members[name] = {"bytes": size, "sha256": digest.hexdigest()}

    def finish(self, **manifest):
        """Write the manifest; without it the archive is invalid."""
        text = json.dumps({"format": FORMAT, **manifest, "members": self._members}, indent=2)
        self._zip.writestr(MANIFEST, text)
        self._zip.close()

    def abandon(self):
        """Close the zip file without the manifest; later Python would try to finish a file that is closed."""
        with contextlib.suppress(OSError, ValueError):
            self._zip.close()


@contextlib.contextmanager
def create(path):
    """Yield a Draft that becomes the file if the block succeeds; otherwise no file is left.

    Only the owner can read the file.
    """
    try:
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mode 0600
    except OSError as error:
        raise _write_error(path, error) from None
    try:
        with open(descriptor, "wb") as file:
            draft = Draft(file)
            try:
                yield draft
            finally:
                draft.abandon()
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise _write_error(path, error) from None
    finally:
        Path(temporary).unlink(missing_ok=True)


def _write_error(path, error):
    return StackError(
        f"{path} cannot be written: {error.strerror or error}.",
        "No backup was made, and no incomplete file was left.",
        "./stack backup /a/folder/with/space/backup.zip",
    )


class Archive:
    """A backup whose members have all been checked."""

    def __init__(self, path, tick):
        """Raise StackError if the file is not a complete backup."""
        try:
            self._zip = zipfile.ZipFile(path)
            self.manifest = json.loads(self._zip.read(MANIFEST))
            self._check_format(path)
            for name, expected in self.manifest["members"].items():
                self._check_member(name, expected, tick)
        except OSError as error:
            raise _read_error(path, f"it cannot be read: {error.strerror or error}") from None
        except (zipfile.BadZipFile, zlib.error, EOFError) as error:
            raise _read_error(path, f"it is damaged, truncated or not a backup ({error})") from None
        except (KeyError, TypeError, ValueError):
            raise _read_error(path, "it is a zip file that was not made by ./stack backup") from None

    def _check_format(self, path):
        if self.manifest["format"] > FORMAT:
            raise _read_error(path, "it was made by a newer release of the stack, in a format unknown to this one")

    def _check_member(self, name, expected, tick):
        digest, size = hashlib.sha256(), 0
        with self.open(name) as member:
            while chunk := member.read(CHUNK):
                digest.update(chunk)
                size += len(chunk)
                tick(format_size(size))
        if (digest.hexdigest(), size) != (expected["sha256"], expected["bytes"]):
            raise zipfile.BadZipFile(f"the checksum of {name} does not match")

    def open(self, name):
        """Open a member for reading."""
        return self._zip.open(name)


def _read_error(path, reason):
    return StackError(
        f"{path} cannot be restored: {reason}.",
        "A restore needs a complete backup. Nothing was changed.",
        "./stack restore FILE   (a complete file that ./stack backup has written)",
    )


def format_size(size):
    """A number of bytes with a unit: `14 kB`, `3.2 MB`."""
    for unit in ("bytes", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit != "MB" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"
