"""SQLite and the power: what was acknowledged is there after a cut, with the app's settings and with no weaker ones.

Simulated by a file system of SQLite's own kind (a VFS): everything that was not synchronised is lost, or a part of it,
as a disk or a kernel may have it. Real cuts are not to be had in a test.
"""

import random
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

import apsw
import pytest

from app.database import SQLITE_PRAGMAS

SECTION = "Database faults"
COMMITS = 60  # at most, before the power goes


class PowerCut(Exception):
    """The power has just gone."""


class Disk(apsw.VFS):
    """Hands everything on to the real one, and remembers how it was before what has not been synchronised."""

    def __init__(self, path: str, chance: random.Random):
        self.chance, self.left, self.files = chance, chance.randrange(10, 8 * COMMITS), []
        super().__init__(path, base="")

    def works(self) -> bool:
        """Whether there is power for one more operation. Raises PowerCut when it goes; later nothing happens at all."""
        self.left -= 1
        if self.left == 0:
            raise PowerCut
        return self.left > 0

    def xOpen(self, name, flags):
        self.files.append(File(self, name, flags))
        return self.files[-1]

    def xDelete(self, name, sync):
        with suppress(PowerCut):  # SQLite does not ask whether a file that it is done with could be deleted
            if self.works():
                super().xDelete(name, sync)


class File(apsw.VFSFile):
    """One file. `undo` holds for each write since the last sync where it was, what was there, and the file's size."""

    def __init__(self, disk: Disk, name, flags):
        self.disk, self.undo = disk, []
        super().__init__("", name, flags)

    def xWrite(self, data, offset):
        if self.disk.works():
            size = self.xFileSize()
            there = max(0, min(len(data), size - offset))
            self.undo.append((offset, self.xRead(there, offset) if there else b"", size))
            super().xWrite(data, offset)

    def xSync(self, flags):
        if self.disk.works():
            self.undo.clear()

    def xTruncate(self, size):
        if self.disk.works():
            super().xTruncate(size)

    def lose(self) -> None:
        """All of what was not synchronised is lost, or each write by chance."""
        share = self.disk.chance.choice((1, 0.5))
        for offset, before, size in reversed(self.undo):
            if self.disk.chance.random() < share:
                if before:
                    super().xWrite(before, offset)
                if self.xFileSize() > size and share == 1:
                    super().xTruncate(size)


def cut(path: Path, settings: tuple[str, ...], chance: random.Random) -> tuple[int, int, bool]:
    """Commits until the power goes. How many commits were acknowledged, how many of them are lost, and whether the
    database is whole.
    """
    with closing(sqlite3.connect(path)) as before:
        before.execute("CREATE TABLE ledger (number INTEGER)")
    disk, acknowledged = Disk(str(path), chance), []  # the path serves as its name: each needs one of its own
    # A VFS in Python has no shared memory; with one connection alone SQLite's write-ahead log needs none.
    connection = apsw.Connection(str(path), vfs=str(path))
    try:
        for setting in ("PRAGMA locking_mode = EXCLUSIVE", *settings):
            connection.execute(setting)
        for number in range(COMMITS):
            connection.execute("INSERT INTO ledger VALUES (?)", (number,))
            if disk.left <= 0:  # SQLite may live on without a file that it wanted to delete; the app would not
                break
            acknowledged.append(number)
    except (PowerCut, apsw.Error):
        pass
    disk.left = 0
    for file in disk.files:
        file.lose()
    connection.close()
    disk.unregister()
    with closing(sqlite3.connect(path)) as after:
        stored = {number for (number,) in after.execute("SELECT number FROM ledger")}
        whole = after.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    return len(acknowledged), len(set(acknowledged) - stored), whole


def many(folder: Path, settings: tuple[str, ...], times: int) -> tuple[int, int, int]:
    """So many cuts: commits acknowledged, commits lost, databases broken."""
    chance = random.Random(57)
    results = []
    for number in range(times):
        path = folder / f"{number}.db"
        results.append(cut(path, settings, chance))
        for file in folder.iterdir():
            file.unlink()
    return sum(one[0] for one in results), sum(one[1] for one in results), sum(not one[2] for one in results)


@pytest.fixture
def memory(tmp_path_factory) -> Path:
    """A folder in memory, which is as good as a disk here and quicker."""
    return tmp_path_factory.mktemp("power")


def test_nothing_acknowledged_is_lost(memory, is_long, record):
    """With the app's settings no power cut loses a commit that was acknowledged, or breaks the database."""
    times = 2000 if is_long else 200
    commits, lost, broken = many(memory, SQLITE_PRAGMAS, times)
    record(
        SECTION,
        f"commits acknowledged before {times:,} simulated power cuts, SQLite",
        commits,
        lost,
        f"{broken} databases broken",
    )
    assert (lost, broken) == (0, 0)
    assert commits > 5 * times


def test_weaker_settings_are_seen(memory):
    """The same with synchronous = NORMAL loses commits: the simulation can fail, and FULL is needed."""
    weaker = tuple(setting.replace("FULL", "NORMAL") for setting in SQLITE_PRAGMAS)
    _, lost, broken = many(memory, weaker, 50)
    assert weaker != SQLITE_PRAGMAS and lost > 50 and broken == 0
