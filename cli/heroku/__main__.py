"""`python3 -m cli.heroku --server NAME`, in the test image: the rehearsal. Exit status 1 if refused."""

import argparse
import signal
import sys

from cli.heroku import output, rehearsal
from deploy.errors import StackError


def main() -> int:
    """Runs the rehearsal; what it has started is stopped whatever happens."""
    parser = argparse.ArgumentParser(prog="python3 -m cli.heroku")
    parser.add_argument("--server", default="gunicorn", metavar="NAME", help="the config var WSGI_SERVER")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that `finally` blocks stop what they started
    try:
        return 0 if rehearsal.rehearse(parser.parse_args().server) else 1
    except StackError as refusal:
        output.error(refusal)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
