"""./stack backup and ./stack restore on live stacks with either database: what was acknowledged comes back, whole."""

import json
import re
import secrets
import subprocess
import threading
import time

import pytest
import requests

from tests.live.stack import Door, docker
from tests.support.ports import free_port

# Each number is written twice in one transaction, and printed when the database has acknowledged it.
DATABASE = """
import os, sqlalchemy as sa
engine = sa.create_engine(os.environ["DATABASE_URL"].replace("postgresql:", "postgresql+psycopg:"))
"""
WRITER = (
    DATABASE
    + """
with engine.begin() as connection:
    connection.execute(sa.text("CREATE TABLE ledger (number INTEGER)"))
for number in range(1_000_000):
    with engine.begin() as connection:
        for _ in "ab":
            connection.execute(sa.text(f"INSERT INTO ledger VALUES ({number})"))
    print(number, flush=True)
"""
)
READER = (
    DATABASE
    + """
with engine.connect() as connection:
    print(list(connection.scalars(sa.text("SELECT number FROM ledger ORDER BY number"))))
"""
)
STATEMENT = (
    DATABASE
    + """
with engine.begin() as connection:
    connection.execute(sa.text("{}"))
"""
)


class Backed(Door):
    """A stack with Python beside its app, which talks to the app's database."""

    def python(self, code: str) -> list[str]:
        [web] = docker(
            "ps",
            "--quiet",
            "--filter",
            f"label=com.docker.compose.project={self.project}",
            "--filter",
            "label=com.docker.compose.service=web",
            "--filter",
            "label=com.docker.compose.oneoff=False",
        ).stdout.split()
        return ["docker", "exec", web, "deploy/exec", "python3", "-c", code]

    def beside(self) -> list[str]:
        """What runs beside the services: containers of `docker compose run`, by name and command."""
        return docker(
            "ps",
            "--no-trunc",
            "--format",
            "{{.Names}} {{.Command}} {{.Status}}",
            "--filter",
            f"label=com.docker.compose.project={self.project}",
            "--filter",
            "label=com.docker.compose.oneoff=True",
        ).stdout.splitlines()

    def ledger(self) -> list[int]:
        return json.loads(subprocess.run(self.python(READER), capture_output=True, text=True, check=True).stdout)

    def execute(self, statement: str) -> None:
        subprocess.run(self.python(STATEMENT.format(statement)), check=True)

    def ok(self, *args: str) -> str:
        done = self(*args)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture(scope="module", params=["", "postgres"], ids=["sqlite", "postgresql"])
def stack(request):
    door = Backed(f"tripod-test-{secrets.token_hex(4)}", free_port(), COMPOSE_PROFILES=request.param)
    door.ok("up")
    yield door
    door("down", "--volumes", "--yes")


class Writer:
    """Somebody who writes all the time, and remembers what was acknowledged."""

    def __init__(self, stack: Backed):
        self.acknowledged = [-1]
        self._process = subprocess.Popen(stack.python(WRITER), stdout=subprocess.PIPE, text=True)
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        with self._process.stdout as lines:
            for line in lines:
                self.acknowledged.append(int(line))

    def more(self) -> int:
        """The newest number, after a hundred more."""
        wanted = self.acknowledged[-1] + 100
        while self.acknowledged[-1] < wanted:
            assert self._process.poll() is None
            time.sleep(0.01)
        return self.acknowledged[-1]

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()
        self._reader.join()


@pytest.fixture(scope="module")
def backup(stack, tmp_path_factory):
    """A backup made while somebody writes, what had been acknowledged before it began and after it, and its words."""
    file = tmp_path_factory.mktemp("backup") / "backup.zip"
    writer = Writer(stack)
    before = writer.more()
    said = stack.ok("backup", str(file))
    yield file, before, writer.more(), said
    writer.stop()


def test_backup_says_what_it_holds(stack, backup):
    """The file belongs to its owner alone; its size, the kind of database and the schema are said."""
    file, _, _, said = backup
    assert file.stat().st_mode & 0o777 == 0o600
    kind = "PostgreSQL" if stack.env["COMPOSE_PROFILES"] else "SQLite in app.db"
    assert re.search(rf"{file}   \d+(\.\d)? (kB|MB)\n\n  {kind} at schema \d+, the secret key", said)


def test_restore_brings_back_what_was_acknowledged(stack, backup):
    """All that was acknowledged when the backup began is there, no transaction by half, and nothing of later."""
    file, before, after, _ = backup
    stack.ok("restore", str(file), "--yes")
    assert stack.beside() == [], "a container of the restore runs on"
    ledger = stack.ledger()
    last = ledger[-1]
    assert before <= last < after
    assert ledger == [number for number in range(last + 1) for _ in "ab"]
    assert requests.get(f"{stack.url}/readyz", timeout=10).status_code == 200


def test_restored_key(stack, backup):
    """The secret key is restored with the database, so that sessions of that time hold again."""
    web = stack.python("")[2]
    key = docker("exec", web, "cat", "/var/lib/tripod/secret_key").stdout
    docker("exec", web, "sh", "-c", "echo 0123456789abcdef0123 > /var/lib/tripod/secret_key")
    stack.ok("restore", str(backup[0]), "--yes")
    assert docker("exec", stack.python("")[2], "cat", "/var/lib/tripod/secret_key").stdout == key


def test_newer_schema_is_refused(stack, backup, tmp_path):
    """A backup of a schema that this release does not know is refused, and nothing is changed."""
    [schema] = re.findall(r"at schema (\d+)", backup[3])
    stack.execute("UPDATE alembic_version SET version_num = '9999'")
    stack.ok("backup", str(tmp_path / "newer.zip"))
    stack.execute(f"UPDATE alembic_version SET version_num = '{schema}'")
    before, ledger = stack.containers(), stack.ledger()
    done = stack("restore", str(tmp_path / "newer.zip"), "--yes")
    assert done.returncode == 1
    assert "at schema 9999" in done.stderr and "Nothing was changed" in done.stderr
    assert (stack.containers(), stack.ledger()) == (before, ledger)


def test_older_schema_is_migrated(stack, backup, tmp_path):
    """A backup of an older schema is brought up to this release's before the app sees it."""
    [schema] = re.findall(r"at schema (\d+)", backup[3])
    web = stack.python("")[2]
    docker("exec", web, "deploy/exec", "flask", "--app", "app.wsgi", "db", "downgrade", "0001")
    assert "at schema 0001" in stack.ok("backup", str(tmp_path / "older.zip"))
    docker("exec", web, "deploy/exec", "flask", "--app", "app.wsgi", "db", "upgrade")
    stack.ok("restore", str(tmp_path / "older.zip"), "--yes")
    assert f"at schema {schema}" in stack.ok("backup", str(tmp_path / "again.zip"))


def test_truncated_file_is_refused(stack, backup, tmp_path):
    """A truncated file is refused before anything is changed."""
    cut, before = tmp_path / "cut.zip", stack.containers()
    cut.write_bytes(backup[0].read_bytes()[:-100])
    done = stack("restore", str(cut), "--yes")
    assert done.returncode == 1 and "truncated" in done.stderr
    assert stack.containers() == before


def test_nobody_to_ask(stack, backup):
    """Without --yes and without a terminal nothing is replaced."""
    before = stack.containers()
    done = stack("restore", str(backup[0]))
    assert done.returncode == 1 and "--yes" in done.stderr
    assert stack.containers() == before
