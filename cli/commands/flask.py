"""Run a flask command of the app, with the settings and the data of the running stack.

It runs in a container of its own: if it uses too much memory, the running app is not affected.

Examples:
  ./stack flask                         list the commands
  ./stack flask seed --posts 5000       add sample users, posts and follows
  ./stack flask admin you@example.com   make a user an admin
"""

import argparse
import subprocess
import sys

from cli import deployment
from cli.console import ROOT

GROUP = "Data"


def add_arguments(parser):
    """Pass all arguments after `flask` to flask, --help too."""
    parser.add_argument("words", nargs=argparse.REMAINDER, metavar="COMMAND ...")


def run(args):
    """Run the command beside the running app."""
    words = ["deploy/exec", "sh", "-c", 'exec flask --app "$WSGI_APP" "$@"', "flask", *args.words]
    with deployment.current() as here:
        command = here.command(*words, terminal=sys.stdin.isatty() and sys.stdout.isatty())
        return subprocess.run(command, env=here.env, cwd=ROOT).returncode
