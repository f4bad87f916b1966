"""Develop without containers: Flask's own server with debugger and reloader, on http://127.0.0.1:5000.

An edit of a file in app/ is there with the next request; an error is shown in the browser, with a console in each line
of its traceback. The database is SQLite in .stack/dev, and mails are shown here. The packages of Pipfile.lock go into
a virtual environment of this folder on the first run, and nothing into the system. Ctrl-C ends it.
  ./stack dev                         start, on a database that is brought up to date first
  ./stack dev --port 5001             on another port
  ./stack dev seed                    any of the app's flask commands, on the same database
"""

import argparse
import os
import subprocess

from cli import console, dotenv, ports, requirements, venv
from cli.console import say
from deploy import state
from deploy.errors import StackError

GROUP = "Develop"
HOME = console.STATE / "dev"
PORT = 5000


def add_arguments(parser):
    """The options of `dev`."""
    parser.add_argument("--port", type=int, default=PORT, metavar="N", help=f"default: {PORT}")
    parser.add_argument("words", nargs=argparse.REMAINDER, metavar="COMMAND ...", help="a flask command instead")


def run(args):
    """Make what is missing, migrate, then serve; or run another command in the same place."""
    console.state_folder()
    HOME.mkdir(exist_ok=True)
    packages = venv.ensure(HOME / "venv", requirements.locked(uwsgi=False), fix="./stack dev")
    env = environment(packages)
    flask = [str(packages / "bin/flask"), "--app", "app.wsgi"]
    if args.words:
        return subprocess.run([*flask, *args.words], env=env, cwd=console.ROOT).returncode
    check_port(args.port)
    console.run("bringing the database up to date", [*flask, "db", "upgrade"], env=env, fix="./stack dev db upgrade")
    say(f"\nhttp://127.0.0.1:{args.port}   ./stack dev seed fills a demo; Ctrl-C ends it\n")
    return subprocess.run([*flask, "run", "--debug", "--port", str(args.port)], env=env, cwd=console.ROOT).returncode


def environment(packages):
    """The shell's settings over those of .env; but data, key, mail and static files are development's own."""
    own = {
        "STATE_DIRECTORY": str(HOME),
        "DATABASE_URL": f"sqlite:///{HOME}/app.db",
        "SECRET_KEY": state.secret_key({"STATE_DIRECTORY": str(HOME)}),  # else each reload would log everybody out
        "SMTP_URL": "",
        "STATIC_ROOT": "",
        "PATH": f"{packages}/bin:{os.environ.get('PATH', os.defpath)}",
    }
    return {**dotenv.values(), **os.environ, **own}


def check_port(port):
    """The port must be free."""
    if not ports.is_free(port, "127.0.0.1"):
        raise StackError(
            f"Port {port} is taken by {ports.holder(port)}.",
            "Flask's server is to listen there, and only one can.",
            f"./stack dev --port {port + 1}",
        )
