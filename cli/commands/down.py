"""Stop the stack gracefully. Data is kept.

--volumes also deletes all data: the database, uploads and the generated secret key. It asks first, unless --yes is set.

Examples:
  ./stack down                   stop the stack and keep its data
  ./stack down --volumes         stop the stack and delete its data, after a question
  ./stack down --volumes --yes   the same without the question
"""

from cli import compose, console, engine, native
from cli.console import say
from deploy.errors import StackError

GROUP = "Run"


def add_arguments(parser):
    """Declare the options of `down`."""
    parser.add_argument("--volumes", action="store_true", help="also delete all data (irreversible)")
    parser.add_argument("--yes", action="store_true", help="do not ask")


def run(args):
    """Stop the services of all profiles, or the plain processes."""
    if native.running():
        return _stop_native(args)
    engine.require()
    if args.volumes and not args.yes:
        _confirm(f"of the project '{compose.config()['name']}'")
    words = ["down", "--remove-orphans", *(["--volumes"] if args.volumes else [])]
    down = compose.command(*words, profiles=compose.all_profiles())
    console.run("stopping the services", down, env=compose.environment(), fix="./stack status")
    _report(args, "./stack up")
    return 0


def _stop_native(args):
    if args.volumes and not args.yes:
        _confirm("of the plain processes")
    native.down()
    if args.volumes:
        native.delete_data()
    _report(args, "./stack up --native")
    return 0


def _report(args, start_command):
    say("  All data was deleted." if args.volumes else f"  The data was kept. To start again: {start_command}")


def _confirm(owner):
    if not console.is_interactive():
        raise StackError(
            "--volumes deletes all data, and stdin is not a terminal on which to confirm it.",
            "The database and the generated secret key cannot be restored.",
            "./stack down --volumes --yes",
        )
    say(f"This deletes the database, the uploads and the secret key {owner}. It cannot be undone.")
    if input("Type yes to continue: ").strip().lower() != "yes":
        raise StackError("Not confirmed.", "Nothing was stopped or deleted.", "./stack down   (keeps the data)")
