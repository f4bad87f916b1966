"""Prove that the servers are interchangeable, and write docs/conformance.md.

Asks every server the same and compares: see tests/live/conformance. The exit status is pytest's.
  ./stack prove                    with 2,000 requests of the fuzzer
  ./stack prove --requests 20000   with more; --seed N repeats a run
"""

from deploy.cli.verbs import test

TABLE = "docs/conformance.md"


def add_arguments(parser):
    """Whatever is written behind `prove` is pytest's."""
    parser.usage = "./stack prove [--requests N] [--seed N] [arguments of pytest ...]"
    parser.set_defaults(takes_rest=True)


def run(args):
    """The conformance tests, which write the table."""
    return test.run_in_image(["pytest", "tests/live/conformance", f"--write-table={TABLE}", *args.rest])
