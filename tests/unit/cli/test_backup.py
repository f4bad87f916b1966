"""Unit tests of ./stack backup and restore: the archive, damaged files, and the rollback of a failed restore."""

import argparse
import contextlib
import io
import json
import os
import resource
import signal
import zipfile

import pytest

from cli import archive, deployment
from cli.commands import backup, restore
from deploy.errors import StackError

DATA = {"kind": "sqlite", "profile": False, "folder": "/state", "file": "app.db", "schema": "0002", "release": "v1"}
MANIFEST = {key: DATA[key] for key in ("kind", "file", "schema", "release")} | {"made_at": "2026-01-01T00:00:00+00:00"}


def ignore_progress(text=""):
    """The `tick` of a step that nobody watches."""


@pytest.fixture
def file(tmp_path):
    """A valid backup file."""
    path = tmp_path / "backup.zip"
    with archive.create(path) as draft:
        draft.add(archive.STATE, io.BytesIO(b"state " * 1000), ignore_progress)
        draft.finish(**MANIFEST)
    return path


def test_archive_round_trip(file):
    """Members and manifest are read back unchanged; only the owner can read the file, and no draft is left."""
    backup = archive.Archive(file, ignore_progress)
    assert backup.open(archive.STATE).read() == b"state " * 1000
    assert backup.manifest.items() >= MANIFEST.items()
    assert file.stat().st_mode & 0o777 == 0o600
    assert os.listdir(file.parent) == [file.name]


def test_failed_backup_leaves_no_file(tmp_path):
    """A backup that fails halfway leaves neither a file nor a draft, and does not touch an older backup."""
    (tmp_path / "backup.zip").write_text("older")
    with pytest.raises(RuntimeError), archive.create(tmp_path / "backup.zip") as draft:
        draft.add(archive.STATE, io.BytesIO(b"half"), ignore_progress)
        raise RuntimeError("the container has exited")
    assert os.listdir(tmp_path) == ["backup.zip"] and (tmp_path / "backup.zip").read_text() == "older"


def test_full_disk(tmp_path):
    """A file that cannot grow is a StackError, and nothing of it is left."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        with pytest.raises(StackError) as raised, archive.create(tmp_path / "backup.zip") as draft:
            draft.add(archive.STATE, io.BytesIO(os.urandom(100_000)), ignore_progress)
            draft.finish(**MANIFEST)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert "File too large" in raised.value.error and os.listdir(tmp_path) == []


def test_missing_folder(tmp_path):
    """A missing folder is a StackError with the reason."""
    with pytest.raises(StackError, match="No such file"), archive.create(tmp_path / "nowhere/backup.zip"):
        raise AssertionError("not reached")


def _truncate(path):
    path.write_bytes(path.read_bytes()[:-30])


def _flip_bit(path):
    content = bytearray(path.read_bytes())
    content[60] ^= 1
    path.write_bytes(content)


def _rewrite(path, **manifest):
    with zipfile.ZipFile(path) as old:
        members = {name: old.read(name) for name in old.namelist()}
    members[archive.MANIFEST] = json.dumps(json.loads(members[archive.MANIFEST]) | manifest).encode()
    with zipfile.ZipFile(path, "w") as new:
        for name, content in members.items():
            new.writestr(name, content)


def _change_checksum(path):
    _rewrite(path, members={archive.STATE: {"bytes": 6000, "sha256": "0" * 64}})


def _write_other_zip(path):
    with zipfile.ZipFile(path, "w") as new:
        new.writestr("photo.jpg", "…")


@pytest.mark.parametrize(
    "damage, expected",
    [
        (_truncate, "truncated"),
        (_flip_bit, "damaged"),
        (_change_checksum, "checksum of state.tar does not match"),
        (lambda path: _rewrite(path, format=archive.FORMAT + 1), "newer release"),
        (_write_other_zip, "not made by ./stack backup"),
        (lambda path: path.write_text("hello"), "not a backup"),
        (lambda path: path.unlink(), "No such file"),
    ],
)
def test_unusable_file(file, damage, expected):
    """A file that is not a complete backup is refused, and nothing is changed."""
    damage(file)
    with pytest.raises(StackError) as raised:
        archive.Archive(file, ignore_progress)
    assert expected in raised.value.error and "Nothing was changed" in raised.value.cause


@pytest.mark.parametrize("data", [{"kind": "postgresql"}, {"kind": "other"}])
def test_external_database_is_refused(data):
    """A database server that is not part of the stack is neither backed up nor replaced."""
    with pytest.raises(StackError, match="not part of this stack"):
        backup.check_database(DATA | data)


class FakeDeployment:
    """A deployment that records its steps, and in which the step `failing` fails once."""

    env = None

    def __init__(self, failing=""):
        self.failing, self.done = failing, []

    def command(self, *words, **env):
        self.done.append(words[-1])
        return ["sh", "-c", f"cat > /dev/null; test {words[-1]} != {self.failing or 'nothing'}"]

    def is_running(self):
        return True

    def stop(self):
        self.done.append("stop")

    def start(self):
        self.done.append("start")
        if self.failing == "start":
            self.failing = ""
            raise StackError("The app does not start.", "(no output)", "./stack logs")


@pytest.fixture
def run_restore(file, monkeypatch):
    """Run ./stack restore on a FakeDeployment, with this description of its data."""

    def run(fake, **data):
        monkeypatch.setattr(deployment, "current", lambda: contextlib.nullcontext(fake))
        monkeypatch.setattr(deployment, "describe_data", lambda fake: DATA | data)
        return restore.run(argparse.Namespace(file=file, yes=True))

    return run


def test_restore(run_restore):
    """The copy is complete and migrated before the app is stopped, and nothing is left beside the live data."""
    fake = FakeDeployment()
    assert run_restore(fake) == 0
    assert fake.done == ["unpack", "deploy/release", "stop", "swap", "start", "discard"]


def test_unknown_schema(run_restore):
    """A release command that fails on the copy ends the restore while the app keeps running."""
    fake = FakeDeployment(failing="deploy/release")
    with pytest.raises(StackError, match="SQLite in app.db at schema 0002"):
        run_restore(fake)
    assert fake.done == ["unpack", "deploy/release", "discard"]


@pytest.mark.parametrize(
    "failing, done",
    [
        ("swap", ["stop", "swap", "revert", "start", "discard"]),
        ("start", ["stop", "swap", "start", "stop", "revert", "start", "discard"]),
    ],
)
def test_failed_exchange_is_reverted(run_restore, failing, done):
    """If the exchange fails, or the app does not start with the restored data, the previous data is put back."""
    fake = FakeDeployment(failing)
    with pytest.raises(StackError):
        run_restore(fake)
    assert fake.done == ["unpack", "deploy/release", *done]


def test_previous_data_is_kept_when_the_revert_fails(run_restore):
    """Data that could not be put back is not removed either."""
    fake = FakeDeployment("start")
    fake.command = lambda *words, **env: fake.done.append(words[-1]) or ["test", words[-1], "!=", "revert"]
    with pytest.raises(StackError):
        run_restore(fake)
    assert "discard" not in fake.done


class BrokenDisk(FakeDeployment):
    """A deployment in which exchanging files, and putting them back, both fail."""

    def command(self, *words, **env):
        self.done.append(words[-1])
        return ["false"] if words[-1] in ("swap", "revert") else ["true"]


def test_every_revert_runs(run_restore):
    """If a step of putting the data back fails, the others run too: the app is started again. The error says what
    failed and where the previous data is, and nothing is discarded.
    """
    fake = BrokenDisk()
    with pytest.raises(StackError) as raised:
        run_restore(fake)
    assert fake.done == ["unpack", "deploy/release", "stop", "swap", "revert", "start"]
    assert "could not be put back completely. The app " in raised.value.error
    assert "/state/.restore/old" in raised.value.cause


@pytest.mark.parametrize(
    "data, expected",
    [
        ({"kind": "postgresql", "profile": True, "file": None}, "PostgreSQL"),
        ({"file": "shop.db"}, "SQLite in shop.db"),
    ],
)
def test_other_database(run_restore, data, expected):
    """A backup of another kind of database, or of another file, is refused with the setting that would fit."""
    fake = FakeDeployment()
    with pytest.raises(StackError, match=f"backup of SQLite in app.db at schema 0002.*runs on {expected}") as raised:
        run_restore(fake, **data)
    assert "DATABASE_URL=sqlite:////state/app.db ./stack up" in raised.value.fix
    assert fake.done == []
