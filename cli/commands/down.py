"""Stop the stack gracefully. Data is kept.

--volumes removes the data as well (database, generated secret key): it asks first, or wants --yes.
"""

import sys

from cli import compose, console, engine, native
from cli.console import say
from deploy.errors import StackError

GROUP = "Run"


def add_arguments(parser):
    """The options of `down`."""
    parser.add_argument("--volumes", action="store_true", help="remove the data too; it cannot be had back")
    parser.add_argument("--yes", action="store_true", help="do not ask")


def run(args):
    """Stop everything, of every profile."""
    if native.running():
        return _native(args)
    engine.require()
    if args.volumes and not args.yes:
        _confirm(compose.config()["name"])
    words = ["down", "--remove-orphans", *(["--volumes"] if args.volumes else [])]
    down = compose.command(*words, profiles=compose.all_profiles())
    console.run("stopping the services", down, env=compose.environment(), fix="./stack status")
    if not args.volumes:
        say("  The data is kept. ./stack up brings it back.")
    return 0


def _native(args):
    if args.volumes and not args.yes:
        _confirm("the plain processes")
    native.down()
    if args.volumes:
        native.delete_data()
    else:
        say("  The data is kept. ./stack up --native brings it back.")
    return 0


def _confirm(project):
    if not sys.stdin.isatty():
        raise StackError(
            "--volumes removes the data of the stack, and nobody is here to be asked.",
            "The database and the generated secret key cannot be had back.",
            "./stack down --volumes --yes",
        )
    answer = input(f"This removes the database and the secret key of '{project}' for ever. Type yes: ")
    if answer.strip().lower() != "yes":
        raise StackError("Not confirmed.", "Nothing was stopped or removed.", "./stack down   (keeps the data)")
