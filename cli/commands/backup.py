"""Save the data of the stack in one file, while the app runs.

FILE holds the database as of one moment, SQLite or the profile's PostgreSQL, and everything else that must survive,
the generated secret key above all: keep it as you keep a password. Without FILE it is tripod-DATE-TIME.zip in this
folder. ./stack restore FILE brings it back.
"""

import datetime
import subprocess
from pathlib import Path

from cli import archive, deployment, postgres
from cli.console import say
from deploy.errors import StackError

GROUP = "Data"


def add_arguments(parser):
    """The options of `backup`."""
    parser.add_argument("file", nargs="?", type=Path, metavar="FILE")


def run(args):
    """Write the file, and say what it holds."""
    now = datetime.datetime.now().astimezone()
    file = (args.file or Path(f"tripod-{now:%Y%m%d-%H%M%S}.zip")).absolute()
    with deployment.current() as here:
        found = _write(file, here, now)
    say(f"\n{file}   {archive.in_words(file.stat().st_size)}\n")
    say(f"  {in_words(found)}, the secret key, and what else is in {found['folder']}")
    say(f"  ./stack restore {args.file or file.name}")
    return 0


def _write(file, here, now):
    """Stream what there is into a draft, which becomes the file when it is whole; returns what the app's data is."""
    found = deployment.describe(here)
    check_kind(found)
    with archive.create(file) as draft:
        if found["kind"] == "postgresql":
            server = postgres.Server(here.postgres())
            found["schema"] = server.schema()
            _save(draft, archive.DUMP, "dumping PostgreSQL", server.dump())
        _save(
            draft,
            archive.STATE,
            "copying the state directory",
            here.command("python3", "-m", "deploy.snapshot", "write"),
            here.env,
        )
        draft.finish(
            kind=found["kind"],
            file=found["file"],
            schema=found["schema"],
            release=found["release"],
            made_at=now.isoformat(timespec="seconds"),
        )
    return found


def check_kind(found):
    """Refuse what this stack does not run itself."""
    if found["kind"] == "sqlite" or found["kind"] == "postgresql" and found["profile"]:
        return
    raise StackError(
        "DATABASE_URL names a database that is not this stack's own.",
        "Its server has backups of its own, or tools of its version: those are right, and ours may not be.",
        'pg_dump --format=custom --file=backup.dump "$DATABASE_URL"   (pg_restore --clean brings it back)',
    )


def in_words(found):
    """The kind of database and its schema, as people say it."""
    kind = {"sqlite": f"SQLite in {found['file']}", "postgresql": "PostgreSQL"}[found["kind"]]
    return f"{kind} at schema {found['schema']}" if found["schema"] else kind


def _save(draft, name, title, argv, env=None):
    with deployment.piped(title, argv, env=env, fix="./stack backup", stdout=subprocess.PIPE) as (child, step):
        draft.add(name, child.stdout, step.tick)
