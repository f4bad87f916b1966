"""Rehearse `git push heroku`: the platform's checks, build, release and dynos, on this machine.

Pushes the last commit, as the platform would get it; see deploy/targets/heroku/README.md.
  ./stack heroku                  everything, with Gunicorn
  ./stack heroku --server uwsgi   as if the app had the config var WSGI_SERVER=uwsgi
  ./stack heroku --check          judge the committed files alone: three seconds at most, no engine
"""

import tempfile
from pathlib import Path

from cli import console, project
from cli.commands import test
from cli.console import ROOT, say
from cli.heroku import check, source
from deploy.errors import EXIT_FAILURE, StackError, StackErrors
from deploy.settings import server_names

GROUP = "Develop"


def add_arguments(parser):
    """The options of `heroku`."""
    parser.add_argument("--server", default="gunicorn", metavar="NAME", help=f"one of: {', '.join(server_names())}")
    parser.add_argument("--check", action="store_true", help="judge the files alone")


def run(args):
    """The files first, on this machine; then the rehearsal, where the tests run."""
    project.check_server(args.server)
    _check()
    if args.check:
        return 0
    console.state_folder()
    return test.run_in_image(["python3", "-m", "cli.heroku", "--server", args.server])


def _check():
    changed = _git("status", "--porcelain")
    if changed:
        say(f"Not committed, so not pushed: {len(changed.splitlines())} changed files.")
    with tempfile.TemporaryDirectory(prefix="tripod-heroku-") as folder:
        source.export(ROOT, "HEAD", Path(folder))
        for warning in check.warnings(Path(folder)):
            say(f"Warning: {warning}")
        found = check.refusals(Path(folder))
    if found:
        raise StackErrors(found, EXIT_FAILURE)
    say(f"Heroku would take the files of {_git('describe', '--always')}.")


def _git(*words):
    asked = console.capture(["git", "-c", f"safe.directory={ROOT}", *words])
    if asked.returncode:
        raise StackError(
            "There is no commit to push.",
            asked.stderr.strip() or "git said nothing.",
            "git init && git add --all && git commit",
        )
    return asked.stdout.strip()
