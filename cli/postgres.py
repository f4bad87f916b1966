"""Dump and restore the database of the profile `postgres`.

A dump is restored into a second database, which then exchanges its name with the live one. All commands run in the
container of the server, as its own user.
"""

from cli import console
from deploy.errors import StackError

LIVE = "tripod"
RESTORED = "tripod_restored"  # deploy/postgres/pg_hba.conf admits the app's user to it
PREVIOUS = "tripod_before"
RESTORED_URL = f"postgresql:///{RESTORED}?host=/run/postgresql"


class Server:
    """The running server in a container."""

    def __init__(self, container):
        self.container = container

    def command(self, *words, stdin=False):
        """The command line that runs `words` in the container."""
        return ["docker", "exec", *(["--interactive"] if stdin else []), self.container, *words]

    def schema(self):
        """Alembic's revision; None if there is none."""
        query = "SELECT version_num FROM alembic_version"
        done = console.capture(self.command("psql", "--tuples-only", "--no-align", "--command", query, LIVE))
        return done.stdout.strip() or None

    def dump_command(self):
        """The command that writes the database, as of one moment, to stdout. The archive compresses it."""
        return self.command("pg_dump", "--format=custom", "--compress=none", LIVE)

    def load_command(self):
        """The command that reads a dump from stdin into the database of create_restored()."""
        return self.command("pg_restore", "--exit-on-error", "--single-transaction", f"--dbname={RESTORED}", stdin=True)

    def create_restored(self):
        """Create an empty database for the dump, beside the live one."""
        self.discard()
        self._execute(f"CREATE DATABASE {RESTORED} OWNER {LIVE}")

    def swap(self):
        """Make the restored database the live one, in one transaction."""
        self._exchange(live_becomes=PREVIOUS, replacement=RESTORED)

    def revert(self):
        """Undo swap(), if it has happened."""
        query = f"SELECT 1 FROM pg_database WHERE datname = '{PREVIOUS}'"
        if console.capture(self.command("psql", "--tuples-only", "--command", query, "postgres")).stdout.strip():
            self._exchange(live_becomes=RESTORED, replacement=PREVIOUS)

    def discard(self):
        """Remove the restored and the previous database."""
        self._execute(*(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)" for name in (RESTORED, PREVIOUS)))

    def _exchange(self, live_becomes, replacement):
        # PostgreSQL does not rename a database with connections. The app is stopped; this ends all other clients.
        # https://www.postgresql.org/docs/current/sql-alterdatabase.html
        clients = f"FROM pg_stat_activity WHERE datname IN ('{LIVE}', '{replacement}')"
        self._execute(f"SELECT pg_terminate_backend(pid, 5000) {clients}")
        self._execute(
            "BEGIN",
            f"ALTER DATABASE {LIVE} RENAME TO {live_becomes}",
            f"ALTER DATABASE {replacement} RENAME TO {LIVE}",
            "COMMIT",
        )

    def _execute(self, *statements):
        commands = [word for statement in statements for word in ("--command", statement)]
        done = console.capture(self.command("psql", "--quiet", "--set=ON_ERROR_STOP=1", *commands, "postgres"))
        if done.returncode:
            raise StackError(
                "PostgreSQL refused a statement of the restore.", done.stderr.strip(), "./stack logs postgres"
            )
