"""Start the stack, or apply changes to a running one.

Does whatever is missing: installs a Docker engine, gets the base image, builds the images. Before anything is
installed, the changes of this machine are listed; on a terminal, ./stack asks for permission. If nothing has changed,
the running containers are kept.

--server switches the WSGI server, without failed requests if the stack is running, and saves it in .env.

--native runs the stack as plain processes, without Docker (deploy/targets/native/README.md). They have a database of
their own in .stack. Without --native, plain processes are started only on a machine that never had an engine and on
which none can be installed.

--upgrade builds all images again on Debian's newest packages and prints which packages changed. It replaces all
containers; `./stack release --upgrade` before it replaces web without a failed request.

Examples:
  ./stack up                   start the stack
  ./stack up --server uwsgi    switch the WSGI server
  ./stack up --yes             install what is missing without a question
  ./stack up --native          run plain processes, without Docker
"""

import textwrap
import time

from cli import base_image, compose, console, engine, native, packages, project, rollout, sudo
from cli.console import say
from deploy.errors import StackError
from deploy.settings import load_settings, server_names

GROUP = "Run"
SEED_HINT = ("flask seed", "fill the sample app with users and posts")


def add_arguments(parser):
    """Declare the options of `up`."""
    parser.add_argument("--server", metavar="NAME", help=f"WSGI server: {', '.join(server_names())}")
    parser.add_argument("--yes", action="store_true", help="install what is missing without a question")
    parser.add_argument("--native", action="store_true", help="run plain processes, without Docker")
    parser.add_argument("--upgrade", action="store_true", help="build without a cache, on Debian's newest packages")
    parser.add_argument(
        "--prepare", action="store_true", help="with --native: install and build only, for systemd units"
    )


def run(args):
    """Start containers; or plain processes, if they are requested, already running, or the only possibility."""
    if args.server:
        project.check_server(args.server)
    if args.native or args.prepare or native.running():
        return _start_native(args)
    had_engine = engine.exists()
    try:
        engine.ensure(args.yes)
    except (engine.AccessDenied, sudo.Declined):
        raise
    except StackError as error:
        if had_engine:  # the stack's data may be in its volumes
            error.fix += "\n./stack up --native   (without Docker, with a database of its own)"
            raise
        if not native.is_possible(args.server):
            raise
        say(f"\nNo Docker engine can be installed: {error.error} {error.cause.splitlines()[-1]}")
        say("The stack runs as plain processes instead (deploy/targets/native/README.md).")
        say(f"To use Docker later: ./stack down, then: {error.fix.splitlines()[0]}\n")
        return _start_native(args)
    return _start_containers(args)


def _start_native(args):
    if args.upgrade:
        raise StackError(
            "Plain processes have no image whose packages could be upgraded.",
            "They use the packages of this host.",
            sudo.shell_line("apt-get update && apt-get upgrade"),
        )
    if args.prepare:
        native.prepare(args.server, args.yes)
        return 0
    started = time.monotonic()
    url, answer = native.up(args.server, args.yes)
    if args.server:
        project.save_server(args.server)
    other = next(name for name in native.SERVERS if name != answer.get("wsgi_server"))
    hints = (
        SEED_HINT,
        (f"up --native --server {other}", "run the same app on another WSGI server"),
        ("logs --follow", "follow the logs"),
        ("down", "stop the stack"),
    )
    _report(url, answer, time.monotonic() - started, hints)
    return 0


def _start_containers(args):
    """Check all settings, then build, then start."""
    started = time.monotonic()
    settings = {"WSGI_SERVER": args.server} if args.server else {}
    config = compose.config(settings)
    project.check_settings(config)
    project.check_port(config)
    base_image.ensure_for(config, args.yes)
    # Nothing of the running stack has been changed so far.
    env = {**compose.environment(), **settings}
    if args.upgrade:
        packages.rebuild(config, env, fix="./stack up --upgrade")
    else:
        console.run("building the images", compose.command("build"), env=env, fix="./stack up")
    _hand_over_first(config, args.server)
    _start_services(config["name"], env)
    url = compose.url(config["name"])
    answer = project.await_liveness(url, args.server) if url else {}
    if args.server:
        project.save_server(args.server)
    environment = project.web_environment(config)
    server = answer.get("wsgi_server") or load_settings(environment, only={"WSGI_SERVER"})["WSGI_SERVER"]
    other = next((name for name in server_names() if name != server), server)
    hints = (
        *([] if environment.get("APP_DIR") else [SEED_HINT]),
        *([("smoke", "check the running stack from outside")] if url else []),
        (f"up --server {other}", "run the same app on another WSGI server"),
        ("logs --follow", "follow the logs"),
    )
    _report(url, answer, time.monotonic() - started, hints)
    return 0


def _hand_over_first(config, server):
    """Hand over to another WSGI server as `switch` does, if a container is active.

    What an interrupted switch left is removed first: Compose would keep the older container, even the standby one.
    """
    stack, image = config["name"], config["services"]["web"]["image"]
    if not rollout.has_active_container(stack):
        return
    with rollout.exclusive():
        old = rollout.repair(stack)
        if server and rollout.server_of(old) != server:
            rollout.roll_out(stack, old, rollout.RolloutPlan(f"the switch to {server}", image, server))


def _start_services(project_name, env):
    try:
        console.run("starting the services", compose.up_command(), env=env, fix="./stack logs")
    except StackError as error:
        raise _service_error(project_name) or error from None


def _service_error(project_name):
    """Print the last lines of failed services and return their StackError; None if no service has failed."""
    containers = compose.containers(project_name)
    failed = [container for container in containers if container.has_failed]
    failed = failed or [container for container in containers if container.health == "starting"]
    for container in failed:
        say(f"\nThe last lines of {container.service}:")
        say(textwrap.indent(compose.log_tail(container.id), "  "))
    if not failed:
        return None
    states = ", ".join(f"{container.service} {describe_state(container)}" for container in failed)
    checks = [f"The health check of {one.service} says: {one.health_output}" for one in failed if one.health_output]
    return StackError(
        f"The stack did not start: {states}.",
        "\n".join([*checks, "The other services depend on it. Those that started are still running."]),
        f"./stack logs {failed[0].service}   (shows all lines)\n./stack down   (stops the others and keeps the data)",
    )


def describe_state(container):
    """Describe the state of a container, after its name."""
    if container.state == "exited":
        return f"exited with status {container.exit_code}"
    return f"is {container.health or container.state}"


def _report(url, answer, seconds, hints):
    if url:
        say(f"\n{url}   {project.describe_answer(answer)}, after {seconds:.1f} s\n")
    else:
        say(f"\nThe services are healthy, after {seconds:.1f} s. No port is published.\n")
    for command, purpose in hints:
        say(f"  ./stack {command:<32} {purpose}")
