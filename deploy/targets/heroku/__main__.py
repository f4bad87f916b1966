"""`python3 -m deploy.targets.heroku --server NAME`, in the test image: the rehearsal. Exit status 1 if refused."""

import argparse
import signal
import sys

from deploy.targets.heroku import rehearsal
from deploy.targets.heroku.refusal import Refusal


def main() -> int:
    """Runs the rehearsal; what it has started is stopped whatever happens."""
    parser = argparse.ArgumentParser(prog="python3 -m deploy.targets.heroku")
    parser.add_argument("--server", default="gunicorn", metavar="NAME", help="the config var WSGI_SERVER")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that `finally` blocks stop what they started
    try:
        return 0 if rehearsal.rehearse(parser.parse_args().server) else 1
    except Refusal as refusal:
        print(f"\n{refusal}", flush=True)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
