"""Measure conformance and reliability, and write both pages of docs/explanation.

Send the same requests to every server and compare the responses (tests/live/conformance). Switch, release, break and
overload the stack under load and count the failed requests (tests/live/reliability). The exit status is that of pytest.

Examples:
  ./stack prove                    as in ./stack test: 400 requests of the fuzzer
  ./stack prove --long             20,000 requests, 10,000 canaries, 20,000 POSTs to each server; 100 handovers
  ./stack prove -k switch          a selection: only its sections of docs/explanation/reliability.md are rewritten
  ./stack prove --requests 5000    this number of requests of the fuzzer; --seed N repeats a run
"""

from cli.commands import test

GROUP = "Develop"
TESTS = ("tests/live/conformance", "tests/live/reliability")
FILES = ("--write-table=docs/explanation/interchangeability.md", "--write-report=docs/explanation/reliability.md")


def add_arguments(parser):
    """Pass all arguments to pytest."""
    parser.usage = "./stack prove [--long] [--requests N] [--seed N] [arguments of pytest ...]"
    parser.set_defaults(takes_rest=True)


def run(args):
    """Run the tests that write the two files."""
    return test.run_in_image(["pytest", *TESTS, *FILES, *args.rest])
