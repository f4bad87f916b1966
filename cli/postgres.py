"""The database of the profile `postgres`: dumped, restored beside itself, and exchanged. All commands run in its
container, as the server's own user.
"""

from cli import console
from deploy.errors import StackError

NAME = "tripod"
RESTORED = "tripod_restored"  # deploy/postgres/pg_hba.conf lets the app's user in here too
BEFORE = "tripod_before"
RESTORED_URL = f"postgresql:///{RESTORED}?host=/run/postgresql"


class Server:
    """The running server in a container."""

    def __init__(self, container):
        self.container = container

    def command(self, *words, stdin=False):
        """The command line that runs `words` beside the server."""
        return ["docker", "exec", *(["--interactive"] if stdin else []), self.container, *words]

    def schema(self):
        """Alembic's revision, None where there is none."""
        query = "SELECT version_num FROM alembic_version"
        asked = console.capture(self.command("psql", "--tuples-only", "--no-align", "--command", query, NAME))
        return asked.stdout.strip() or None

    def dump(self):
        """The command whose output is the database, as of one moment. The archive compresses it."""
        return self.command("pg_dump", "--format=custom", "--compress=none", NAME)

    def load(self):
        """The command whose input is a dump; it fills the database that make_empty() has made."""
        return self.command("pg_restore", "--exit-on-error", "--single-transaction", f"--dbname={RESTORED}", stdin=True)

    def make_empty(self):
        """An empty database beside the live one."""
        self.forget()
        self._say(f"CREATE DATABASE {RESTORED} OWNER {NAME}")

    def swap(self):
        """The restored database takes the live one's name, in one transaction."""
        self._exchange(live_becomes=BEFORE, comes=RESTORED)

    def undo(self):
        """The database that swap() has put aside, if it has, gets its name back."""
        query = f"SELECT 1 FROM pg_database WHERE datname = '{BEFORE}'"
        if console.capture(self.command("psql", "--tuples-only", "--command", query, "postgres")).stdout.strip():
            self._exchange(live_becomes=RESTORED, comes=BEFORE)

    def forget(self):
        """Remove what was restored or put aside."""
        self._say(*(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)" for name in (RESTORED, BEFORE)))

    def _exchange(self, live_becomes, comes):
        # A database with connections can't be renamed. The app is stopped; others, such as a forgotten psql, are ended.
        others = f"FROM pg_stat_activity WHERE datname IN ('{NAME}', '{comes}')"
        self._say(f"SELECT pg_terminate_backend(pid, 5000) {others}")
        self._say(
            "BEGIN",
            f"ALTER DATABASE {NAME} RENAME TO {live_becomes}",
            f"ALTER DATABASE {comes} RENAME TO {NAME}",
            "COMMIT",
        )

    def _say(self, *statements):
        commands = [word for statement in statements for word in ("--command", statement)]
        done = console.capture(self.command("psql", "--quiet", "--set=ON_ERROR_STOP=1", *commands, "postgres"))
        if done.returncode:
            raise StackError("PostgreSQL refused a step of the restore.", done.stderr.strip(), "./stack logs postgres")
