"""Prepare the files that `gcloud app deploy` uploads to App Engine.

Writes requirements.txt from Pipfile.lock, the static files with hashed names into static/, and a secret key into
.appengine/. Run it before each `gcloud app deploy`; see deploy/targets/appengine/README.md.

Examples:
  ./stack appengine                  prepare for Gunicorn
  ./stack appengine --server uwsgi   prepare for uWSGI, which App Engine's build compiles
"""

import os
import secrets
import shutil

from cli import console, requirements, venv
from cli.console import ROOT, say
from deploy.errors import EXIT_CONFIG, StackError

GROUP = "Release"
SERVERS = ("gunicorn", "uwsgi")
FIX = "./stack appengine"


def add_arguments(parser):
    """Declare the options of `appengine`."""
    parser.add_argument("--server", choices=SERVERS, default="gunicorn", help="WSGI server; default: gunicorn")


def run(args):
    """Write the files."""
    folder = ROOT / ".appengine"
    folder.mkdir(mode=0o700, exist_ok=True)  # of secrets
    _make_secret_key(folder / "secret_key")
    _check_database_url(folder / "database_url")
    (ROOT / "requirements.txt").write_text(requirements.locked(uwsgi=args.server == "uwsgi"))
    _build_static_files(ROOT / "static")
    say("\nThe files are complete. To upload them: gcloud app deploy")
    return 0


def _make_secret_key(file):
    """Write a secret key, the same for all instances, unless there is one."""
    if not file.exists():
        file.touch(mode=0o600)
        file.write_text(secrets.token_hex(32))


def _check_database_url(file):
    if not file.exists():
        example = "postgresql://user:password@/name?host=/cloudsql/project:region:instance"
        raise StackError(
            f"The file {file.relative_to(ROOT)} does not exist.",
            "It contains the URL of the database. Files are not persistent on App Engine, so SQLite cannot be used.",
            f"(umask 077; echo '{example}' > {file.relative_to(ROOT)})",
            EXIT_CONFIG,
        )


def _build_static_files(target):
    """Build the static files of the sample app with hashed names, in a virtual environment of ./stack."""
    console.state_folder()
    home = console.STATE / "appengine"
    home.mkdir(exist_ok=True)
    source = home / "static-source"
    packages = venv.ensure(home / "venv", requirements.locked(uwsgi=False), fix=FIX)
    env = {**os.environ, "PATH": f"{packages}/bin:{os.environ.get('PATH', os.defpath)}", "PYTHONDONTWRITEBYTECODE": "1"}
    env.pop("STATIC_ROOT", None)  # the folder of another app, perhaps
    for folder in (source, target):
        shutil.rmtree(folder, ignore_errors=True)
    python, flask = str(packages / "bin/python3"), str(packages / "bin/flask")
    console.run("collecting static files", [flask, "--app", "app.wsgi", "assets", str(source)], env=env, fix=FIX)
    build = [python, "-m", "deploy.assets", str(source), str(target)]
    console.run("hashing and compressing static files", build, env=env, fix=FIX)
