"""deploy/snapshot.py: the state directory as a tar stream, and its restoration."""

import io
import sqlite3
import tarfile
from contextlib import closing

import pytest

from deploy import snapshot
from tests.support.wsgi import settings


@pytest.fixture
def folder(tmp_path):
    """A state directory with a key, a lock, and a database in the middle of a write transaction."""
    state = tmp_path / "state"
    state.mkdir()
    (state / "secret_key").write_text("old")
    (state / "release.lock").touch()
    with closing(sqlite3.connect(state / "app.db", isolation_level=None)) as writer:
        writer.execute("PRAGMA journal_mode = WAL")
        writer.execute("CREATE TABLE post (text)")
        writer.execute("INSERT INTO post VALUES ('committed')")
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("INSERT INTO post VALUES ('not yet')")
        yield state


def posts(database) -> list[str]:
    with closing(sqlite3.connect(database)) as connection:
        return [text for (text,) in connection.execute("SELECT text FROM post")]


def saved(folder) -> io.BytesIO:
    stream = io.BytesIO()
    snapshot.write(folder, stream)
    stream.seek(0)
    return stream


def test_contains_committed_data(folder, tmp_path):
    """A database that is being written to is saved with all committed data, even if that is only in the WAL yet."""
    assert b"committed" not in (folder / "app.db").read_bytes()
    with tarfile.open(fileobj=saved(folder)) as tar:
        assert tar.getnames() == ["app.db", "secret_key"]
        tar.extractall(tmp_path / "out", filter="data")
    assert posts(tmp_path / "out/app.db") == ["committed"]


@pytest.fixture
def other(tmp_path):
    """Another state directory, whose app has stopped without a checkpoint of its database."""
    state = tmp_path / "other"
    state.mkdir()
    (state / "secret_key").write_text("new")
    with closing(sqlite3.connect(state / "app.db", isolation_level=None)) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("CREATE TABLE post (text)")
        database.execute("INSERT INTO post VALUES ('from before')")
        left = {suffix: (state / f"app.db{suffix}").read_bytes() for suffix in ("", "-wal")}
    for suffix, content in left.items():
        (state / f"app.db{suffix}").write_bytes(content)
    return state


def test_swap(folder, other):
    """The saved files replace the old ones, and nothing of the old database gets into the new one."""
    snapshot.unpack(other, saved(folder))
    assert posts(other / "app.db") == ["from before"]
    snapshot.swap(other)
    snapshot.discard(other)
    assert posts(other / "app.db") == ["committed"]
    assert sorted(path.name for path in other.iterdir()) == ["app.db", "secret_key"]
    assert (other / "secret_key").read_text() == "old"


def test_revert(folder, other):
    """revert() restores the replaced files with all their data."""
    snapshot.unpack(other, saved(folder))
    snapshot.swap(other)
    snapshot.revert(other)
    assert posts(other / "app.db") == ["from before"]
    assert (other / "secret_key").read_text() == "new"


def test_damaged_database_can_be_replaced(folder, other):
    """A damaged database does not prevent the restoration."""
    (other / "app.db").write_bytes(snapshot.SQLITE_HEADER + b"rubbish")
    (other / "app.db-wal").write_bytes(b"rubbish too")
    snapshot.unpack(other, saved(folder))
    snapshot.swap(other)
    assert posts(other / "app.db") == ["committed"]


@pytest.mark.parametrize("name", ["../outside", "/outside", "link"])
def test_paths_outside_of_the_folder_are_refused(tmp_path, name):
    """Nothing but regular files within the folder is unpacked."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        info = tarfile.TarInfo(name)
        info.type, info.linkname = (tarfile.SYMTYPE, "/etc/passwd") if name == "link" else (tarfile.REGTYPE, "")
        tar.addfile(info)
    stream.seek(0)
    with pytest.raises(ValueError):
        snapshot.unpack(tmp_path, stream)
    assert not list((tmp_path / ".restore/new").iterdir())


def test_describe(folder):
    """describe() returns the kind of database, its file, and its schema."""
    with closing(sqlite3.connect(folder / "shop.db")) as database:
        database.execute("CREATE TABLE alembic_version (version_num)")
        database.execute("INSERT INTO alembic_version VALUES ('0007')")
        database.commit()
    url = f"sqlite:///{folder}/shop.db"
    description = snapshot.describe(settings(STATE_DIRECTORY=str(folder), DATABASE_URL=url, RELEASE="v1"))
    assert description == {
        "kind": "sqlite",
        "profile": False,
        "folder": str(folder),
        "file": "shop.db",
        "schema": "0007",
        "release": "v1",
    }


@pytest.mark.parametrize(
    "url, kind",
    [("postgres://db/x", "postgresql"), ("mysql://db/x", "other"), ("sqlite:////elsewhere/app.db", "other")],
)
def test_describe_database_elsewhere(folder, url, kind):
    """A database outside of the state directory is not mistaken for one in it."""
    description = snapshot.describe(settings(STATE_DIRECTORY=str(folder), DATABASE_URL=url, WSGI_APP="shop:app"))
    assert (description["kind"], description["profile"], description["schema"]) == (kind, False, None)
