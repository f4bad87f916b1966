"""Mutation-test the configuration: every deliberate change must make a test fail.

Apply the changes of tests/mutations/configuration.py one by one to a temporary copy of this folder, and run the test
that must notice each. This takes some minutes and is not part of ./stack test. The exit status is 1 if a test passes.

Examples:
  ./stack mutate             all mutations
  ./stack mutate deadline    the mutations whose file or text contains this word
"""

from cli.commands import test

GROUP = "Develop"


def add_arguments(parser):
    """Add the arguments of `mutate`."""
    parser.add_argument("words", nargs="*", metavar="WORD", help="part of the file or text of a mutation")


def run(args):
    """Build all images, then run tests/mutations in the test image."""
    return test.run_in_image(["python3", "-m", "tests.mutations", *args.words])
