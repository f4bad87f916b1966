"""Show the verbs, or more about one of them."""

from cli import main

GROUP = "Inspect"


def add_arguments(parser):
    """The one optional word of `help`."""
    parser.add_argument("topic", nargs="?", metavar="VERB", choices=main.command_names())


def run(args):
    """Print what argparse knows."""
    parser = main.build_parser()
    parser.parse_args([args.topic, "--help"] if args.topic else ["--help"])
