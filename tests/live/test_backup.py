"""./stack backup and ./stack restore on running stacks with SQLite and PostgreSQL."""

import json
import re
import secrets
import subprocess
import threading
import time

import pytest
import requests

from tests.live.stack import StackCommand, docker
from tests.support.ports import free_port

DATABASE = """
import os, sqlalchemy as sa
engine = sa.create_engine(os.environ["DATABASE_URL"].replace("postgresql:", "postgresql+psycopg:"))
"""
# Each number is written twice in one transaction, and printed once the database has acknowledged it.
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
SCHEMA = (
    DATABASE
    + """
with engine.connect() as connection:
    print(connection.scalar(sa.text("SELECT version_num FROM alembic_version")))
"""
)
STATEMENT = (
    DATABASE
    + """
with engine.begin() as connection:
    connection.execute(sa.text("{}"))
"""
)


class LedgerStack(StackCommand):
    """A stack whose database the tests read and write with Python code in the web container."""

    def python(self, code: str) -> list[str]:
        """Return the command that runs Python code in the web container."""
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

    def one_off_containers(self) -> list[str]:
        """Return name, command and status of all running `docker compose run` containers."""
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
        """Return all numbers that the database contains, in order."""
        return json.loads(subprocess.run(self.python(READER), capture_output=True, text=True, check=True).stdout)

    def execute(self, statement: str) -> None:
        subprocess.run(self.python(STATEMENT.format(statement)), check=True)

    def schema(self) -> str:
        """Return the version of the database's schema."""
        return subprocess.run(self.python(SCHEMA), capture_output=True, text=True, check=True).stdout.strip()

    def secret_key(self) -> str:
        return docker("exec", self.python("")[2], "cat", "/var/lib/tripod/secret_key").stdout

    def ok(self, *args: str) -> str:
        """Run a command that must succeed and return its output."""
        done = self(*args)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture(scope="module", params=["", "postgres"], ids=["sqlite", "postgresql"])
def stack(request):
    stack = LedgerStack(f"tripod-test-{secrets.token_hex(4)}", free_port(), COMPOSE_PROFILES=request.param)
    stack.ok("up")
    yield stack
    stack("down", "--volumes", "--yes")


class Writer:
    """A client that writes without a pause and records which writes were acknowledged."""

    def __init__(self, stack: LedgerStack):
        self.acknowledged = [-1]
        self._process = subprocess.Popen(stack.python(WRITER), stdout=subprocess.PIPE, text=True)
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        with self._process.stdout as lines:
            for line in lines:
                self.acknowledged.append(int(line))

    def await_more(self) -> int:
        """Wait for a hundred more acknowledged writes and return the last number."""
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
    """A backup made during writes: its file, the last number acknowledged before it and after it, and its output."""
    file = tmp_path_factory.mktemp("backup") / "backup.zip"
    writer = Writer(stack)
    try:
        before = writer.await_more()
        said = stack.ok("backup", str(file))
        return file, before, writer.await_more(), said
    finally:
        writer.stop()


@pytest.fixture(scope="module")
def restored(stack, backup):
    """The numbers in the database after a restore, and the secret key at the time of the backup and after the restore.

    Between the two, the secret key was replaced.
    """
    key = stack.secret_key()
    docker("exec", stack.python("")[2], "sh", "-c", "echo 0123456789abcdef0123 > /var/lib/tripod/secret_key")
    stack.ok("restore", str(backup[0]), "--yes")
    assert stack.one_off_containers() == [], "a container of the restore is still running"
    assert requests.get(f"{stack.url}/readyz", timeout=10).status_code == 200
    return stack.ledger(), key, stack.secret_key()


def test_backup_describes_its_contents(stack, backup):
    """Only its owner can read a backup; the output names its size, the kind of database and the schema."""
    file, _, _, said = backup
    assert file.stat().st_mode & 0o777 == 0o600
    kind = "PostgreSQL" if stack.env["COMPOSE_PROFILES"] else "SQLite in app.db"
    assert re.search(rf"{file}   \d+(\.\d)? (kB|MB)\n\n  {kind} at schema \d+, the secret key", said)


def test_restore_brings_back_every_acknowledged_write(restored, backup):
    """A restore contains every write acknowledged before the backup, no partial transaction and no later write."""
    _, before, after, _ = backup
    ledger, _, _ = restored
    last = ledger[-1]
    assert before <= last < after
    assert ledger == [number for number in range(last + 1) for _ in "ab"]


def test_restore_brings_back_the_secret_key(restored):
    """The secret key is restored with the database, so sessions from the time of the backup are valid again."""
    _, key, key_after_restore = restored
    assert key and key_after_restore == key


def test_newer_schema_is_refused(stack, backup, tmp_path):
    """A backup whose schema is newer than this release is refused, and nothing is changed."""
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
    """A backup with an older schema is migrated to this release's schema before the app starts."""
    [schema] = re.findall(r"at schema (\d+)", backup[3])
    web = stack.python("")[2]
    docker("exec", web, "deploy/exec", "flask", "--app", "app.wsgi", "db", "downgrade", "0001")
    assert "at schema 0001" in stack.ok("backup", str(tmp_path / "older.zip"))
    docker("exec", web, "deploy/exec", "flask", "--app", "app.wsgi", "db", "upgrade")
    stack.ok("restore", str(tmp_path / "older.zip"), "--yes")
    assert stack.schema() == schema


def test_truncated_file_is_refused(stack, backup, tmp_path):
    """A truncated backup is refused before anything is changed."""
    truncated, before = tmp_path / "truncated.zip", stack.containers()
    truncated.write_bytes(backup[0].read_bytes()[:-100])
    done = stack("restore", str(truncated), "--yes")
    assert done.returncode == 1 and "truncated" in done.stderr
    assert stack.containers() == before


def test_restore_without_terminal_needs_yes(stack, backup):
    """Without a terminal and without --yes, `./stack restore` replaces nothing."""
    before = stack.containers()
    done = stack("restore", str(backup[0]))
    assert done.returncode == 1 and "--yes" in done.stderr
    assert stack.containers() == before
