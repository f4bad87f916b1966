"""What the verbs of ./stack do.

Every file of `verbs/` is one verb: its docstring is the help, `add_arguments(parser)` its options, and
`run(args)` does its work and returns the exit status. Adding a verb is adding a file.
"""

import argparse
import difflib
import importlib
import os
import pkgutil
import signal
import sys

from cli import commands
from cli.console import say
from deploy.errors import StackError

EPILOG = "./stack help VERB tells more about one of them."


def command_names():
    """The verbs: the files of cli/commands."""
    return sorted(module.name for module in pkgutil.iter_modules(commands.__path__))


def build_parser():
    """One subparser for each verb; the help text is the docstring of its file."""
    parser = argparse.ArgumentParser(
        prog="./stack", description="The one door to this stack.", epilog=EPILOG, allow_abbrev=False
    )
    subparsers = parser.add_subparsers(dest="verb", metavar="VERB", title="verbs")
    for name in command_names():
        verb = importlib.import_module(f"{commands.__name__}.{name}")
        subparser = subparsers.add_parser(
            name,
            help=verb.__doc__.splitlines()[0],
            description=verb.__doc__,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        subparser.set_defaults(run=verb.run, takes_rest=False)
        verb.add_arguments(subparser)
    return parser


def main(argv):
    """Run one verb and return the exit status."""
    for stream in (sys.stdout, sys.stderr):
        # What a terminal cannot show becomes a "?" instead of a traceback; in a pipe, lines keep their order.
        stream.reconfigure(errors="replace", line_buffering=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that `finally` blocks stop what they started
    try:
        return _dispatch(argv or ["help"])
    except StackError as problem:
        print(problem, file=sys.stderr)
        return problem.status
    except KeyboardInterrupt:
        say("Interrupted.")
        return 130
    except BrokenPipeError:  # `./stack … | head`: nobody reads any more
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141


def _dispatch(argv):
    if not argv[0].startswith("-") and argv[0] not in command_names():
        raise _unknown_verb(argv[0])
    parser = build_parser()
    args, args.rest = parser.parse_known_args(argv)
    if args.rest and not args.takes_rest:
        parser.error(f"{args.verb} does not know {' '.join(args.rest)}; see ./stack help {args.verb}")
    return args.run(args)


def _unknown_verb(name):
    close = difflib.get_close_matches(name, command_names(), n=1)
    return StackError(
        f"./stack has no verb '{name}'.",
        f"It has these: {', '.join(command_names())}.",
        f"./stack {close[0]}" if close else "./stack help",
        status=2,
    )
