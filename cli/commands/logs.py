"""Show what the services have logged; --follow keeps showing.

SERVICE is one of the services of docker-compose.yml, such as nginx or web; without it,
all of them. Plain processes (up --native) have one log for all.
"""

import subprocess

from cli import compose, console, engine, native, project
from deploy.errors import StackError

GROUP = "Run"


def add_arguments(parser):
    """The options of `logs`."""
    parser.add_argument("service", nargs="?", metavar="SERVICE")
    parser.add_argument("--follow", "-f", action="store_true", help="keep showing what comes, until Ctrl-C")


def run(args):
    """Hand over to docker compose."""
    if native.running():
        return native.logs(args.follow)
    engine.require()
    found = {one.service for one in project.require_containers(compose.config()["name"])}
    if args.service and args.service not in found:
        raise StackError(
            f"There is no service '{args.service}' with a container.",
            f"There are: {', '.join(sorted(found))}.",
            f"./stack logs {sorted(found)[0]}",
        )
    words = ["logs", *(["--follow"] if args.follow else []), *([args.service] if args.service else [])]
    logs = compose.command(*words, profiles=compose.all_profiles())
    return subprocess.run(logs, env=compose.environment(), cwd=console.ROOT).returncode
