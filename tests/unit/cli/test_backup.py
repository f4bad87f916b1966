"""The archive of ./stack backup, and the way back when a restore fails."""

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

FOUND = {"kind": "sqlite", "profile": False, "folder": "/state", "file": "app.db", "schema": "0002", "release": "v1"}
MANIFEST = {key: FOUND[key] for key in ("kind", "file", "schema", "release")} | {"made_at": "2026-01-01T00:00:00+00:00"}


def nothing(text=""):
    pass


@pytest.fixture
def file(tmp_path):
    """A backup."""
    path = tmp_path / "backup.zip"
    with archive.create(path) as draft:
        draft.add(archive.STATE, io.BytesIO(b"state " * 1000), nothing)
        draft.finish(**MANIFEST)
    return path


def test_archive(file):
    """What was put in comes out again; only its owner can read the file, and no draft is left."""
    found = archive.Archive(file, nothing)
    assert found.open(archive.STATE).read() == b"state " * 1000
    assert found.manifest.items() >= MANIFEST.items()
    assert file.stat().st_mode & 0o777 == 0o600
    assert os.listdir(file.parent) == [file.name]


def test_failed_backup_leaves_no_file(tmp_path):
    """Where something fails on the way there is no file, nor a draft of one, and an older backup stays."""
    (tmp_path / "backup.zip").write_text("older")
    with pytest.raises(RuntimeError), archive.create(tmp_path / "backup.zip") as draft:
        draft.add(archive.STATE, io.BytesIO(b"half"), nothing)
        raise RuntimeError("the container has gone")
    assert os.listdir(tmp_path) == ["backup.zip"] and (tmp_path / "backup.zip").read_text() == "older"


def test_no_space(tmp_path):
    """A file that can't grow is a problem in three parts, and nothing of it stays."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        with pytest.raises(StackError) as raised, archive.create(tmp_path / "backup.zip") as draft:
            draft.add(archive.STATE, io.BytesIO(os.urandom(100_000)), nothing)
            draft.finish(**MANIFEST)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert "File too large" in raised.value.error and os.listdir(tmp_path) == []


def test_missing_folder(tmp_path):
    """A folder that is not there is named."""
    with pytest.raises(StackError, match="No such file"), archive.create(tmp_path / "nowhere/backup.zip"):
        raise AssertionError("not reached")


def _cut(path):
    path.write_bytes(path.read_bytes()[:-30])


def _change(path):
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


def _other_content(path):
    _rewrite(path, members={archive.STATE: {"bytes": 6000, "sha256": "0" * 64}})


def _other_zip(path):
    with zipfile.ZipFile(path, "w") as new:
        new.writestr("photo.jpg", "…")


@pytest.mark.parametrize(
    "damage, expected",
    [
        (_cut, "cut short"),
        (_change, "damaged"),
        (_other_content, "not what was saved"),
        (lambda path: _rewrite(path, format=archive.FORMAT + 1), "newer release"),
        (_other_zip, "none that ./stack backup has made"),
        (lambda path: path.write_text("hello"), "no backup at all"),
        (lambda path: path.unlink(), "No such file"),
    ],
)
def test_unusable_file(file, damage, expected):
    """A file that is not a whole backup is refused before anything else is looked at."""
    damage(file)
    with pytest.raises(StackError) as raised:
        archive.Archive(file, nothing)
    assert expected in raised.value.error and "Nothing was changed" in raised.value.cause


@pytest.mark.parametrize("found", [{"kind": "postgresql"}, {"kind": "other"}])
def test_database_of_others(found):
    """A database that is not the stack's own is neither saved nor replaced: the owner's tools are named."""
    with pytest.raises(StackError, match="not this stack's own"):
        backup.check_kind(FOUND | found)


class Here:
    """A place where nothing happens but what the test says; what was asked for is remembered."""

    env = None

    def __init__(self, refuse=""):
        self.refuse, self.done = refuse, []

    def command(self, *words, **env):
        self.done.append(words[-1])
        return ["sh", "-c", f"cat > /dev/null; test {words[-1]} != {self.refuse or 'nothing'}"]

    def is_running(self):
        return True

    def stop(self):
        self.done.append("stop")

    def start(self):
        self.done.append("start")
        if self.refuse == "start":
            self.refuse = ""
            raise StackError("The app does not start.", "It said nothing.", "./stack logs")


@pytest.fixture
def restored(file, monkeypatch):
    def run(here, **found):
        monkeypatch.setattr(deployment, "current", lambda: contextlib.nullcontext(here))
        monkeypatch.setattr(deployment, "describe", lambda here: FOUND | found)
        return restore.run(argparse.Namespace(file=file, yes=True))

    return run


def test_restore(restored):
    """The copy is complete and migrated before the app is stopped, and nothing is left beside the data."""
    here = Here()
    assert restored(here) == 0
    assert here.done == ["unpack", "deploy/release", "stop", "swap", "start", "discard"]


def test_schema_that_is_not_known(restored):
    """A release command that refuses the copy ends the restore while the app still runs."""
    here = Here(refuse="deploy/release")
    with pytest.raises(StackError, match="SQLite in app.db at schema 0002"):
        restored(here)
    assert here.done == ["unpack", "deploy/release", "discard"]


@pytest.mark.parametrize(
    "refuse, done",
    [
        ("swap", ["stop", "swap", "revert", "start", "discard"]),
        ("start", ["stop", "swap", "start", "stop", "revert", "start", "discard"]),
    ],
)
def test_way_back(restored, refuse, done):
    """Where the exchange fails, or the app does not start with the restored data, the old data comes back."""
    here = Here(refuse)
    with pytest.raises(StackError):
        restored(here)
    assert here.done == ["unpack", "deploy/release", *done]


def test_old_data_is_kept_when_the_way_back_fails(restored):
    """What could not be put back is not removed either."""
    here = Here("start")
    here.command = lambda *words, **env: here.done.append(words[-1]) or ["test", words[-1], "!=", "revert"]
    with pytest.raises(StackError):
        restored(here)
    assert "discard" not in here.done


@pytest.mark.parametrize(
    "found, expected",
    [
        ({"kind": "postgresql", "profile": True, "file": None}, "PostgreSQL"),
        ({"file": "shop.db"}, "SQLite in shop.db"),
    ],
)
def test_other_database(restored, found, expected):
    """A backup of one kind of database, or file, is not put where another is in use; how to get there is said."""
    here = Here()
    with pytest.raises(StackError, match=f"backup of SQLite in app.db at schema 0002.*runs on {expected}") as raised:
        restored(here, **found)
    assert "DATABASE_URL=sqlite:////state/app.db ./stack up" in raised.value.fix
    assert here.done == []
