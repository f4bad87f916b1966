"""List the commands, or show the options and examples of one.

Examples:
  ./stack help           list all commands
  ./stack help up        show the options and examples of `up`
  ./stack help restore   show the options and examples of `restore`
"""

from cli import main

GROUP = "Inspect"


def add_arguments(parser):
    """Declare the argument of `help`."""
    parser.add_argument("topic", nargs="?", metavar="COMMAND", choices=main.command_names())


def run(args):
    """Print the help that argparse formats."""
    parser = main.build_parser()
    parser.parse_args([args.topic, "--help"] if args.topic else ["--help"])
