"""Switch the WSGI server without a failed request.

Run the release command (migrations), start a second web container with the new server beside the active one, wait
until it is ready, and send it requests (the smoke check). Then promote it, watch its responses for a few seconds, and
let the old container finish its in-flight requests and stop. The choice is saved as WSGI_SERVER in .env.

If the image is newer than that of the active container, the switch also releases it.

If the new container does not become ready, fails the smoke check or answers with errors, the switch is rolled back: the
old container stays active, and the exit status is 1. The next switch, release or up repairs an interrupted switch.

Examples:
  ./stack switch uwsgi                      switch to uWSGI
  ./stack switch gunicorn --try /search     also require that /search does not answer with a 5xx
  ./stack switch uwsgi --ready-within 300   for an app that starts slowly
"""

from cli import compose, project, rollout
from cli.console import say
from deploy.settings import server_names

GROUP = "Release"


def add_arguments(parser):
    """Add the options of `switch`."""
    parser.add_argument("server", metavar="SERVER", help=f"one of: {', '.join(server_names())}")
    rollout.add_arguments(parser)


def run(args):
    """Roll out a container with the server, unless the active container has it already."""
    rollout.require_engine()
    project.check_server(args.server)
    config = compose.config({"WSGI_SERVER": args.server})
    project.check_settings(config)
    plan = rollout.RolloutPlan(
        title=f"the switch to {args.server}",
        image=config["services"]["web"]["image"],
        server=args.server,
        allow_breaking=args.allow_breaking,
        ready_within=args.ready_within,
        smoke_paths=args.smoke_paths,
    )
    with rollout.exclusive():
        old = rollout.repair(config["name"])
        if rollout.server_of(old) == args.server:
            say(f"{old.name} already runs {args.server}.")
            project.save_server(args.server)
        else:
            rollout.roll_out(config["name"], old, plan)
    return 0
