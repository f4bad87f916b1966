"""Prove that the servers are interchangeable and that no request is lost.

Writes docs/explanation/interchangeability.md and docs/explanation/reliability.md.

Asks every server the same and compares (tests/live/conformance); switches, releases, breaks and overloads the stack
and counts what fails of it (tests/live/reliability). The exit status is pytest's.
  ./stack prove                    what ./stack test does too: 2,000 requests of the fuzzer
  ./stack prove --long             20,000 of them, 10,000 canaries, 20,000 POSTs to each server; 100 handovers
  ./stack prove -k switch          some of it; only these sections of the reliability page are rewritten
  ./stack prove --requests 5000    so many of the fuzzer's; --seed N repeats a run
"""

from cli.commands import test

GROUP = "Develop"
TESTS = ("tests/live/conformance", "tests/live/reliability")
FILES = ("--write-table=docs/explanation/interchangeability.md", "--write-report=docs/explanation/reliability.md")


def add_arguments(parser):
    """Whatever is written behind `prove` is pytest's."""
    parser.usage = "./stack prove [--long] [--requests N] [--seed N] [arguments of pytest ...]"
    parser.set_defaults(takes_rest=True)


def run(args):
    """The tests that write the two files."""
    return test.run_in_image(["pytest", *TESTS, *FILES, *args.rest])
