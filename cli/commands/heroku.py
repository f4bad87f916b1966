"""Rehearse `git push heroku` on this machine: the platform's checks, build, release phase and dynos.

Like a push, the rehearsal uses the last commit; uncommitted changes are ignored. It builds the slug, runs the release
command, starts every process type of the Procfile, runs the smoke tests and stops all dynos. See
deploy/targets/heroku/README.md.

Examples:
  ./stack heroku                  rehearse a push, with Gunicorn
  ./stack heroku --server uwsgi   as with the config var WSGI_SERVER=uwsgi
  ./stack heroku --check          only check the committed files: less than three seconds, without Docker
"""

import tempfile
from pathlib import Path

from cli import console, git, project
from cli.commands import test
from cli.console import ROOT, say
from cli.heroku import check, source
from deploy.errors import EXIT_FAILURE, StackError, StackErrors
from deploy.settings import server_names

GROUP = "Release"


def add_arguments(parser):
    """Add the options of `heroku`."""
    parser.add_argument("--server", default="gunicorn", metavar="NAME", help=f"one of: {', '.join(server_names())}")
    parser.add_argument("--check", action="store_true", help="only check the committed files")


def run(args):
    """Check the files on this machine, then rehearse the push in the test image."""
    project.check_server(args.server)
    _check_files()
    if args.check:
        return 0
    console.state_folder()
    return test.run_in_image(["python3", "-m", "cli.heroku", "--server", args.server])


def _check_files():
    changed = _git("status", "--porcelain")
    if changed:
        say(f"Uncommitted changes are not part of a push (files: {len(changed.splitlines())}).")
    with tempfile.TemporaryDirectory(prefix="tripod-heroku-") as folder:
        source.export(ROOT, "HEAD", Path(folder))
        for warning in check.find_warnings(Path(folder)):
            say(f"Warning: {warning}")
        errors = check.find_errors(Path(folder))
    if errors:
        raise StackErrors(errors, EXIT_FAILURE)
    say(f"Heroku would accept the files of {_git('describe', '--always')}.")


def _git(*words):
    done = console.capture(git.command(*words))
    if done.returncode:
        raise StackError(
            "There is no commit to push.",
            done.stderr.strip() or console.NO_OUTPUT,
            "git init && git add --all && git commit",
        )
    return done.stdout.strip()
