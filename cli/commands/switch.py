"""Switch the WSGI server without a failed request, and remember it in .env.

A second web container is started beside the one that serves, asked whether it is ready, tried out with real requests,
pointed at, and watched; then the first one finishes what it has, and goes. If the new one is not ready in time, fails
a request or dies, the old one serves on, and the exit status is 1.

Interrupted at any point, the next switch, release or up puts things right.
"""

from cli import compose, project, rollout
from cli.console import say
from deploy.settings import server_names

GROUP = "Release"


def add_arguments(parser):
    """The options of `switch`."""
    parser.add_argument("server", metavar="SERVER", help=f"one of: {', '.join(server_names())}")
    rollout.add_arguments(parser)


def run(args):
    """Nothing is done where the server serves already."""
    rollout.require()
    project.check_server(args.server)
    config = compose.config({"WSGI_SERVER": args.server})
    project.check_settings(config)
    change = rollout.Change(
        f"the switch to {args.server}",
        config["services"]["web"]["image"],
        args.server,
        False,
        args.allow_breaking,
        args.ready_within,
        args.paths,
    )
    with rollout.alone():
        old = rollout.mend(config["name"])
        if rollout.server(old) == args.server:
            say(f"{old.name} serves with {args.server} already.")
            project.save_server(args.server)
        else:
            rollout.replace(config["name"], old, change)
    return 0
