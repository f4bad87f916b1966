"""Run the rehearsal, in the test image: python3 -m cli.heroku --server NAME

The exit status is 1 if the push would be rejected.
"""

import argparse
import signal
import sys

from cli.heroku import output, rehearsal
from deploy.errors import StackError


def main() -> int:
    """Run the rehearsal, and stop everything that it has started."""
    parser = argparse.ArgumentParser(prog="python3 -m cli.heroku")
    parser.add_argument("--server", default="gunicorn", metavar="NAME", help="the config var WSGI_SERVER")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # runs `finally` blocks, which stop the dynos
    try:
        return 0 if rehearsal.rehearse(parser.parse_args().server) else 1
    except StackError as error:
        output.error(error)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
