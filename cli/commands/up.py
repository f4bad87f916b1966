"""Start the stack, or bring a running one up to date.

Does what is missing on the way: a Docker engine, the base image, the images.
Run again, it is quick and changes nothing.

Where no engine can be had the same processes run without containers, from
.stack/native; --native asks for that (deploy/targets/native/README.md).

--server NAME switches the WSGI server, as `switch` does where the stack runs, and
remembers it in .env, so that plain `docker compose up` keeps to it.
"""

import time

from cli import base_image, compose, console, engine, native, project, rollout
from cli.console import say
from deploy.errors import StackError
from deploy.settings import server_names

GROUP = "Run"
HEALTHY_LIMIT = 180  # seconds; a container that is not healthy by then will not be
LOG_LINES = 25
DEMO = ("flask seed", "people and notes to look at")


def add_arguments(parser):
    """The options of `up`."""
    parser.add_argument("--server", metavar="NAME", help=f"one of: {', '.join(server_names())}")
    parser.add_argument("--native", action="store_true", help="plain processes, without Docker")
    parser.add_argument("--prepare", action="store_true", help="with --native: make what they need, start nothing")


def run(args):
    """In containers, or as plain processes where that is asked for, runs already, or is the only way."""
    if args.server:
        project.check_server(args.server)
    if args.native or args.prepare or native.running():
        return _native(args)
    try:
        engine.ensure()
    except StackError as problem:
        if isinstance(problem, engine.AccessDenied) or not native.is_possible(args.server):
            raise
        say(f"\nNo Docker engine can be had here: {problem.error} {problem.cause.splitlines()[-1]}")
        say("So the stack runs as plain processes: see deploy/targets/native/README.md.")
        say(f"For an engine instead, type: ./stack down, and then: {problem.fix.splitlines()[0]}\n")
        return _native(args)
    return _containers(args)


def _native(args):
    if args.prepare:
        native.prepare(args.server)
        return 0
    started = time.monotonic()
    url, answer = native.up(args.server)
    if args.server:
        project.save_server(args.server)
    other = next(name for name in native.SERVERS if name != answer.get("wsgi_server"))
    _report(
        url,
        answer,
        time.monotonic() - started,
        (
            DEMO,
            (f"up --native --server {other}", "the same app under another server"),
            ("logs --follow", "watch it work"),
            ("down", "stop it gracefully"),
        ),
    )
    return 0


def _containers(args):
    """Check everything, then build, then start."""
    started = time.monotonic()
    settings = {"WSGI_SERVER": args.server} if args.server else {}
    config = compose.config(settings)
    project.check_settings(config)
    project.check_port(config)
    base_image.ensure_for(config)
    # Nothing of the project has been touched so far.
    env = {**compose.environment(), **settings}
    console.run("building the images", compose.command("build"), env=env, fix="./stack up")
    _without_a_gap(config, args.server)
    _start(config["name"], env)
    answer = project.await_liveness(compose.url(config["name"]), args.server)
    if args.server:
        project.save_server(args.server)
    server = answer.get("wsgi_server")
    other = next((name for name in server_names() if name != server), server)
    is_ours = not config["services"]["web"]["environment"].get("APP_DIR")
    _report(
        compose.url(config["name"]),
        answer,
        time.monotonic() - started,
        (
            *([DEMO] if is_ours else []),
            ("smoke", "check that it keeps its promises"),
            (f"up --server {other}", "the same app under another server"),
            ("logs --follow", "watch it work"),
        ),
    )
    return 0


def _without_a_gap(config, server):
    """Where a container serves already, another server takes over from it as with `switch`.

    And what an interrupted switch has left goes first: Compose would keep the older container, whichever serves.
    """
    stack, image = config["name"], config["services"]["web"]["image"]
    if not rollout.serves(stack):
        return
    with rollout.alone():
        old = rollout.mend(stack)
        if server and rollout.server(old) != server:
            rollout.replace(stack, old, rollout.Change(f"the switch to {server}", image, server))


def _start(name, env):
    try:
        up = compose.command("up", "--detach", "--wait", "--wait-timeout", str(HEALTHY_LIMIT))
        console.run("starting the services", up, env=env, fix="./stack logs")
    except StackError as problem:
        raise _failure(name) or problem from None


def _failure(name):
    """The StackError of the services that failed, after their last lines; None if it was something else."""
    found = compose.containers(name)
    bad = [one for one in found if one.has_failed] or [one for one in found if one.health == "starting"]
    for one in bad:
        say(f"\nThe last lines of {one.service}:")
        say(_last_lines(one.id))
    if not bad:
        return None
    return StackError(
        f"The stack did not start: {', '.join(f'{one.service} {describe_state(one)}' for one in bad)}.",
        "The others need it. What did start is left running, for you to look at.",
        f"./stack logs {bad[0].service}   (all of its lines)\n./stack down   (stop the rest; data is kept)",
    )


def describe_state(one):
    """What became of a container, in words."""
    if one.state == "exited":
        return f"exited with status {one.exit_code}"
    return f"is {one.health or one.state}"


def _last_lines(container):
    shown = console.capture(["docker", "logs", "--tail", str(LOG_LINES), container])
    return "\n".join(f"  {line}" for line in (shown.stdout + shown.stderr).splitlines()[-LOG_LINES:])


def _report(url, answer, seconds, hints):
    server, release = answer.get("wsgi_server"), answer.get("release")
    say(f"\n{url}   answered by {server}, release {release}, after {seconds:.1f} s\n")
    for words, purpose in hints:
        say(f"  ./stack {words:<32} {purpose}")
