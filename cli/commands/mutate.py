"""Mutation-test the stack: every deliberate change must make a test fail.

Apply the changes of tests/mutations/configuration.py one by one to a temporary copy of this folder, and run the test
that must notice each. This takes some minutes and is not part of ./stack test. The exit status is 1 if a test passes.

With --random, apply random changes to the Python code of app/, deploy/ and cli/ instead, one by one, and print how many
of them make a unit test fail, and those that do not. The same seed chooses the same changes. This takes about ten
seconds per change and processor.

Examples:
  ./stack mutate                           all mutations of the configuration
  ./stack mutate request_timeout           the mutations whose file or text contains this word
  ./stack mutate --random 100              100 random changes of each folder
  ./stack mutate --random 50 --seed 7 app   50 others of app/
"""

from cli import build_inputs
from cli.commands import test

GROUP = "Develop"


def add_arguments(parser):
    """Add the arguments of `mutate`."""
    parser.add_argument("words", nargs="*", metavar="WORD", help="part of the file or text of a mutation; or a folder")
    parser.add_argument("--random", type=int, metavar="N", help="try N random changes of each folder")
    parser.add_argument("--seed", type=int, default=1, metavar="S", help="choose other random changes (default: 1)")
    parser.add_argument("--page", action="store_true", help="also write docs/reference/mutation-score.md")


def run(args):
    """Build all images, then run tests/mutations in the test image."""
    if args.random is None:
        return test.run_in_image(["python3", "-m", "tests.mutations", *args.words])
    options = [f"--random={args.random}", f"--seed={args.seed}", f"--version={build_inputs.release_name()}"]
    page = ["--page"] if args.page else []
    return test.run_in_image(["python3", "-m", "tests.mutations.random_mutants", *options, *page, *args.words])
