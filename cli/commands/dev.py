"""Develop without containers: run Flask's own server with debugger and reloader.

An edit of a file in app/ takes effect with the next request. An error is shown in the browser, with a console for each
line of its traceback. The database is SQLite in .stack/dev, mails are printed to the terminal. The first run installs
the packages of Pipfile.lock into a virtual environment in .stack/dev, and nothing into the system. Ctrl-C stops it.

Examples:
  ./stack dev               migrate the database and serve http://127.0.0.1:5000
  ./stack dev --port 5001   serve on another port
  ./stack dev seed          run a flask command of the app on the same database
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
    """Declare the options of `dev`."""
    parser.add_argument("--port", type=int, default=PORT, metavar="N", help=f"default: {PORT}")
    parser.add_argument(
        "words", nargs=argparse.REMAINDER, metavar="COMMAND ...", help="run this flask command instead of the server"
    )


def run(args):
    """Install the packages, migrate the database and serve; or run a flask command."""
    console.state_folder()
    HOME.mkdir(exist_ok=True)
    packages = venv.ensure(HOME / "venv", requirements.locked(uwsgi=False), fix="./stack dev")
    env = environment(packages)
    flask = [str(packages / "bin/flask"), "--app", "app.wsgi"]
    if args.words:
        return subprocess.run([*flask, *args.words], env=env, cwd=console.ROOT).returncode
    check_port(args.port)
    console.run("migrating the database", [*flask, "db", "upgrade"], env=env, fix="./stack dev db upgrade")
    say(f"\nhttp://127.0.0.1:{args.port}   ./stack dev seed adds sample content; Ctrl-C stops the server\n")
    return subprocess.run([*flask, "run", "--debug", "--port", str(args.port)], env=env, cwd=console.ROOT).returncode


def environment(packages):
    """Return the environment. The shell overrides .env, except for data, key, mail and static files."""
    own = {
        "STATE_DIRECTORY": str(HOME),
        "DATABASE_URL": f"sqlite:///{HOME}/app.db",
        "SECRET_KEY": state.secret_key({"STATE_DIRECTORY": str(HOME)}),  # a new key at each reload would end sessions
        "SMTP_URL": "",
        "STATIC_ROOT": "",
        "PATH": f"{packages}/bin:{os.environ.get('PATH', os.defpath)}",
    }
    return {**dotenv.values(), **os.environ, **own}


def check_port(port):
    """Raise StackError if the port is taken."""
    if not ports.is_free(port, "127.0.0.1"):
        raise StackError(
            f"Port {port} is taken by {ports.describe_holder(port)}.",
            "Flask's server must listen on this port.",
            f"./stack dev --port {port + 1}",
        )
