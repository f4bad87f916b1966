"""Back up the data of the stack to one file, while the app runs.

The file holds the database as of one moment (SQLite, or the PostgreSQL of the profile) and the other files of the state
directory, including the generated secret key. Protect it like a password. The default name is tripod-DATE-TIME.zip, in
this folder. ./stack restore FILE restores it.

Examples:
  ./stack backup                          write tripod-20261128-031500.zip
  ./stack backup /mnt/backups/today.zip   write this file
"""

import datetime
import subprocess
from pathlib import Path

from cli import archive, deployment, postgres
from cli.console import say
from deploy.errors import StackError

GROUP = "Data"


def add_arguments(parser):
    """Add the argument of `backup`."""
    parser.add_argument("file", nargs="?", type=Path, metavar="FILE", help="default: tripod-DATE-TIME.zip")


def run(args):
    """Write the file, and print what it contains."""
    now = datetime.datetime.now().astimezone()
    file = (args.file or Path(f"tripod-{now:%Y%m%d-%H%M%S}.zip")).absolute()
    with deployment.current() as current:
        data = _write(file, current, now)
    say(f"\n{file}   {archive.format_size(file.stat().st_size)}\n")
    say(f"  {describe_database(data)}, the secret key and the other files of {data['folder']}")
    say(f"  ./stack restore {args.file or file.name}")
    return 0


def _write(file, current, now):
    """Write the archive; return the description of the app's data."""
    data = deployment.describe_data(current)
    check_database(data)
    with archive.create(file) as draft:
        if data["kind"] == "postgresql":
            server = postgres.Server(current.postgres_container())
            data["schema"] = server.schema()
            _add(draft, archive.DUMP, "dumping PostgreSQL", server.dump_command())
        _add(
            draft,
            archive.STATE,
            "copying the state directory",
            current.command("python3", "-m", "deploy.snapshot", "write"),
            current.env,
        )
        draft.finish(
            kind=data["kind"],
            file=data["file"],
            schema=data["schema"],
            release=data["release"],
            made_at=now.isoformat(timespec="seconds"),
        )
    return data


def check_database(data):
    """Raise StackError for a database that the stack does not run itself."""
    if data["kind"] == "sqlite" or data["kind"] == "postgresql" and data["profile"]:
        return
    raise StackError(
        "DATABASE_URL names a database server that is not part of this stack.",
        "Only tools of that server's own version can back it up reliably.",
        'pg_dump --format=custom --file=backup.dump "$DATABASE_URL"   (restore it with pg_restore --clean)',
    )


def describe_database(data):
    """The kind of database and its schema, for messages."""
    kind = {"sqlite": f"SQLite in {data['file']}", "postgresql": "PostgreSQL"}[data["kind"]]
    return f"{kind} at schema {data['schema']}" if data["schema"] else kind


def _add(draft, name, title, argv, env=None):
    step = deployment.streaming_step(title, argv, env=env, fix="./stack backup", stdout=subprocess.PIPE)
    with step as (child, progress):
        draft.add(name, child.stdout, progress.tick)
