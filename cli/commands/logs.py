"""Show the logs of all services, or of one.

SERVICE is a service of docker-compose.yml, such as nginx or web. Plain processes (./stack up --native) share one log.

Examples:
  ./stack logs                show the logs of all services
  ./stack logs web --follow   follow the log of the app
  ./stack logs nginx          show the access log
"""

import subprocess

from cli import compose, console, engine, native, project
from deploy.errors import StackError

GROUP = "Run"


def add_arguments(parser):
    """Declare the options of `logs`."""
    parser.add_argument("service", nargs="?", metavar="SERVICE")
    parser.add_argument("--follow", "-f", action="store_true", help="print new lines until Ctrl-C")


def run(args):
    """Run `docker compose logs`."""
    if native.running():
        return native.logs(args.follow)
    engine.require()
    services = sorted({one.service for one in project.require_containers(compose.config()["name"])})
    if args.service and args.service not in services:
        raise StackError(
            f"The service '{args.service}' has no container.",
            f"The services with containers are: {', '.join(services)}.",
            "./stack logs   (shows all services)",
        )
    words = ["logs", *(["--follow"] if args.follow else []), *([args.service] if args.service else [])]
    logs = compose.command(*words, profiles=compose.all_profiles())
    return subprocess.run(logs, env=compose.environment(), cwd=console.ROOT).returncode
