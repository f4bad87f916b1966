"""Prove that the servers are interchangeable, and write docs/conformance.md.

Asks every server the same and compares: see tests/live/conformance. The exit status is pytest's.
  ./stack prove                    what ./stack test does too: 2,000 requests of the fuzzer
  ./stack prove --long             20,000 of them, 10,000 canaries, 20,000 POSTs to each server: some 20 minutes
  ./stack prove --requests 5000    so many of the fuzzer's; --seed N repeats a run
"""

from deploy.cli.verbs import test

TABLE = "docs/conformance.md"


def add_arguments(parser):
    """Whatever is written behind `prove` is pytest's."""
    parser.usage = "./stack prove [--long] [--requests N] [--seed N] [arguments of pytest ...]"
    parser.set_defaults(takes_rest=True)


def run(args):
    """The conformance tests, which write the table."""
    return test.run_in_image(["pytest", "tests/live/conformance", f"--write-table={TABLE}", *args.rest])
