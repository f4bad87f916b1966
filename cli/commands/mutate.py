"""Break the stack's levers one by one, in a scratch copy, and show that a check sees each.

Takes some minutes and is no part of `test`. The exit status is 1 if one stays green.
  ./stack mutate             all of tests/mutations/configuration.py
  ./stack mutate deadline    those whose file or text has this word
"""

from cli.commands import test

GROUP = "Develop"


def add_arguments(parser):
    """The options of `mutate`."""
    parser.add_argument("words", nargs="*", metavar="WORD", help="part of a mutation's file or text")


def run(args):
    """Build everything, then run tests/mutations where the tests run."""
    return test.run_in_image(["python3", "-m", "tests.mutations", *args.words])
