"""Power cuts with SQLite: acknowledged commits survive with the app's settings, and not with weaker ones.

A SQLite VFS (https://sqlite.org/vfs.html) simulates the power cut: writes that are not synchronized are lost, all of
them or some, as on a real disk.
"""

import random
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

import apsw
import pytest

from app.database import SQLITE_PRAGMAS

SECTION = "Database faults"
COMMITS = 60  # at most, before the power cut


class PowerCut(Exception):
    """The simulated power cut."""


class Disk(apsw.VFS):
    """A VFS that forwards all operations to the real one and can undo the writes that are not synchronized."""

    def __init__(self, path: str, chance: random.Random):
        self.chance, self.left, self.files = chance, chance.randrange(10, 8 * COMMITS), []
        super().__init__(path, base="")

    def has_power(self) -> bool:
        """Return whether there is power for one more operation. Raise PowerCut once, at the moment of the cut."""
        self.left -= 1
        if self.left == 0:
            raise PowerCut
        return self.left > 0

    def xOpen(self, name, flags):
        self.files.append(File(self, name, flags))
        return self.files[-1]

    def xDelete(self, name, sync):
        with suppress(PowerCut):  # SQLite ignores errors when it deletes a file that it no longer needs
            if self.has_power():
                super().xDelete(name, sync)


class File(apsw.VFSFile):
    """A file. `undo` contains, for each write since the last sync, its offset, the old data and the old file size."""

    def __init__(self, disk: Disk, name, flags):
        self.disk, self.undo = disk, []
        super().__init__("", name, flags)

    def xWrite(self, data, offset):
        if self.disk.has_power():
            size = self.xFileSize()
            overwritten = max(0, min(len(data), size - offset))
            self.undo.append((offset, self.xRead(overwritten, offset) if overwritten else b"", size))
            super().xWrite(data, offset)

    def xSync(self, flags):
        if self.disk.has_power():
            self.undo.clear()

    def xTruncate(self, size):
        if self.disk.has_power():
            super().xTruncate(size)

    def lose(self) -> None:
        """Undo all writes that are not synchronized, or a random half of them."""
        share = self.disk.chance.choice((1, 0.5))
        for offset, before, size in reversed(self.undo):
            if self.disk.chance.random() < share:
                if before:
                    super().xWrite(before, offset)
                if self.xFileSize() > size and share == 1:
                    super().xTruncate(size)


def cut(path: Path, settings: tuple[str, ...], chance: random.Random) -> tuple[int, int, bool]:
    """Commit until the power cut. Return the number of acknowledged commits, how many of them are lost, and whether the
    database is intact.
    """
    with closing(sqlite3.connect(path)) as before:
        before.execute("CREATE TABLE ledger (number INTEGER)")
    disk, acknowledged = Disk(str(path), chance), []  # the path is also the unique name of the VFS
    # A VFS in Python has no shared memory. SQLite's write-ahead log needs none if there is a single connection.
    connection = apsw.Connection(str(path), vfs=str(path))
    try:
        for setting in ("PRAGMA locking_mode = EXCLUSIVE", *settings):
            connection.execute(setting)
        for number in range(COMMITS):
            connection.execute("INSERT INTO ledger VALUES (?)", (number,))
            if disk.left <= 0:  # SQLite may continue after a failed delete; the app would not
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
    """Simulate power cuts. Return the numbers of acknowledged commits, lost commits and corrupt databases."""
    chance = random.Random(57)
    results = []
    for number in range(times):
        path = folder / f"{number}.db"
        results.append(cut(path, settings, chance))
        for file in folder.iterdir():
            file.unlink()
    acknowledged, lost, intact = zip(*results, strict=True)
    return sum(acknowledged), sum(lost), times - sum(intact)


@pytest.fixture
def memory(tmp_path_factory) -> Path:
    """A temporary folder for the databases."""
    return tmp_path_factory.mktemp("power")


def test_nothing_acknowledged_is_lost(memory, is_long, record):
    """With the app's settings, no power cut loses an acknowledged commit or corrupts the database."""
    times = 2000 if is_long else 200
    commits, lost, broken = many(memory, SQLITE_PRAGMAS, times)
    record(
        SECTION,
        f"commits acknowledged before {times:,} simulated power cuts, SQLite",
        commits,
        lost,
        f"{broken} databases corrupt",
    )
    assert (lost, broken) == (0, 0)
    assert commits > 5 * times


def test_weaker_settings_lose_commits(memory):
    """With synchronous = NORMAL, the same simulation loses commits: it can fail, and FULL is necessary."""
    weaker = tuple(setting.replace("FULL", "NORMAL") for setting in SQLITE_PRAGMAS)
    _, lost, broken = many(memory, weaker, 50)
    assert weaker != SQLITE_PRAGMAS and lost > 50 and broken == 0
