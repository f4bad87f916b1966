"""The command line of ./stack.

Each module of cli/commands is one command. Its docstring is the help text, GROUP its section in the list of commands,
`add_arguments(parser)` declares the options, and `run(args)` does the work and returns the exit status. To add a
command, add a module.
"""

import argparse
import difflib
import importlib
import os
import pkgutil
import signal
import sys

from cli import VERSION, commands
from cli.console import say
from deploy.errors import EXIT_USAGE, StackError

GROUPS = ("Run", "Release", "Data", "Inspect", "Develop")
USAGE = "./stack COMMAND [options]"
DESCRIPTION = "Manage the Tripod stack."
EPILOG = "./stack help COMMAND shows the options and examples of a command."

# Exit statuses of a process that a signal ended: 128 and the signal's number, as in a shell.
EXIT_INTERRUPTED, EXIT_BROKEN_PIPE, EXIT_TERMINATED = 130, 141, 143


class Parser(argparse.ArgumentParser):
    """An ArgumentParser that raises StackError for wrong arguments."""

    def error(self, message):
        """Raise the StackError."""
        command = self.prog.partition(" ")[2]
        fix = f"./stack help {command}" if command not in ("", "help") else "./stack help"
        raise StackError(f"{message[0].upper()}{message[1:]}.", self.format_usage(), fix, EXIT_USAGE)


def command_names():
    """The names of all commands."""
    return sorted(module.name for module in pkgutil.iter_modules(commands.__path__))


def load_commands():
    """The modules of all commands by name."""
    return {name: importlib.import_module(f"{commands.__name__}.{name}") for name in command_names()}


def build_parser():
    """The parser of ./stack, with one subparser for each command."""
    modules = load_commands()
    parser = Parser(
        prog="./stack",
        usage=USAGE,
        description=f"{DESCRIPTION}\n\n{list_commands(modules)}",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=VERSION, help="print the version and exit")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", help=argparse.SUPPRESS)
    for name, module in modules.items():
        subparser = subparsers.add_parser(
            name,
            prog=f"./stack {name}",
            description=module.__doc__,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        subparser.set_defaults(run=module.run, takes_rest=False)
        module.add_arguments(subparser)
    return parser


def list_commands(modules):
    """The list of commands by group, each with the first line of its help."""
    width = max(map(len, modules))
    lines = []
    for group in GROUPS:
        summaries = {name: module.__doc__.splitlines()[0] for name, module in modules.items() if module.GROUP == group}
        lines += [f"{group}:", *(f"  {name:<{width}}  {summary}" for name, summary in summaries.items()), ""]
    return "\n".join(lines).rstrip()


def main(argv):
    """Run one command and return its exit status."""
    for stream in (sys.stdout, sys.stderr):
        # A character that the terminal cannot encode becomes "?". In a pipe, stdout and stderr keep their order.
        stream.reconfigure(errors="replace", line_buffering=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(EXIT_TERMINATED))  # runs the `finally` blocks
    try:
        return _run_command(argv or ["help"])
    except StackError as error:
        print(error, file=sys.stderr)
        return error.status
    except KeyboardInterrupt:
        say("Interrupted.")
        return EXIT_INTERRUPTED
    except BrokenPipeError:  # the reader of a pipe has exited, as in `./stack logs | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_BROKEN_PIPE


def _run_command(argv):
    if not argv[0].startswith("-") and argv[0] not in command_names():
        raise _unknown_command(argv[0])
    parser = build_parser()
    args, args.rest = parser.parse_known_args(argv)
    if args.rest and not args.takes_rest:
        raise StackError(
            f"./stack {args.command} has no option or argument {' '.join(args.rest)}.",
            "The command was not started.",
            f"./stack help {args.command}",
            EXIT_USAGE,
        )
    return args.run(args)


def _unknown_command(name):
    similar = difflib.get_close_matches(name, command_names(), n=1)
    return StackError(
        f"./stack has no command '{name}'.",
        f"The commands are: {', '.join(command_names())}.",
        f"./stack {similar[0]}" if similar else "./stack help",
        EXIT_USAGE,
    )
