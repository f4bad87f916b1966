"""A stand-in for an app's migrations: it exits with the status that the tests write here."""

import sys

STATUS = 0

sys.exit(STATUS)
