"""Run one of the app's flask commands, where its data is and with its settings.

./stack flask seed --posts 5000       a demo: people, notes, follows
./stack flask admin you@example.com   the first admin
./stack flask                         what else there is
"""

import argparse
import subprocess
import sys

from cli import deployment
from cli.console import ROOT

GROUP = "Data"


def add_arguments(parser):
    """Whatever is written behind `flask COMMAND` is flask's, --help too."""
    parser.add_argument("words", nargs=argparse.REMAINDER, metavar="COMMAND ...")


def run(args):
    """Beside the running app: a command that takes all memory takes nobody else's."""
    words = ["deploy/exec", "sh", "-c", 'exec flask --app "$WSGI_APP" "$@"', "flask", *args.words]
    with deployment.current() as here:
        command = here.command(*words, terminal=sys.stdin.isatty() and sys.stdout.isatty())
        return subprocess.run(command, env=here.env, cwd=ROOT).returncode
