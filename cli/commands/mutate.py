"""Mutation-test the stack: apply deliberate changes to a scratch copy, one by one, and show that a test fails.

Takes several minutes and is not part of `test`. The exit status is 1 if a mutation survives.
  ./stack mutate                    all mutations of tests/mutations/configuration.py
  ./stack mutate request_timeout    mutations with this word in their file or text
"""

from cli.commands import test

GROUP = "Develop"


def add_arguments(parser):
    """The options of `mutate`."""
    parser.add_argument("words", nargs="*", metavar="WORD", help="part of a mutation's file or text")


def run(args):
    """Build everything, then run tests/mutations where the tests run."""
    return test.run_in_image(["python3", "-m", "tests.mutations", *args.words])
