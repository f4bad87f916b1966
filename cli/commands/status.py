"""Show the containers, the active web container and the URL.

The exit status is 1 if a container has failed or the URL does not answer.

Examples:
  ./stack status                                  show the state of the stack
  ./stack status && curl http://127.0.0.1:8080/   continue only if it is healthy
"""

import datetime

from cli import compose, engine, native, project, rollout
from cli.console import say
from cli.nginx import NginxContainer
from deploy.errors import EXIT_FAILURE, StackError

GROUP = "Run"


def add_arguments(parser):
    """Declare no options."""


def run(args):
    """Print a table of the containers, then the active one, then the URL."""
    if native.running():
        return native.status()
    engine.require()
    config = compose.config()
    name = config["name"]
    containers = project.require_containers(name)
    _print_table(containers)
    for line in _describe_active(name, config["services"]["web"]["image"]):
        say(line)
    has_failed = any(container.has_failed for container in containers)
    if not project.published_port(config):
        say("No port is published.")
        return EXIT_FAILURE if has_failed else 0
    url = compose.url(name)
    answer = project.fetch_liveness(url) if url else {}
    say(f"{url or 'The published port'}   {project.describe_answer(answer)}")
    return 0 if answer and not has_failed else EXIT_FAILURE


def _print_table(containers):
    rows = [("CONTAINER", "STATE", "HEALTH", "SINCE", "IMAGE")]
    rows += [(one.name, _state(one), one.health or "-", age(one.since), one.image) for one in containers]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        say("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())
    say()


def _state(container):
    return f"exited ({container.exit_code})" if container.state == "exited" else container.state


def _describe_active(stack, image):
    """Describe the active web container, and what to do about other ones."""
    try:
        nginx = NginxContainer.of(stack)
    except StackError:  # Apache alone, or Nginx is not running
        return
    active, (_, since) = rollout.active_container(stack, nginx), nginx.active()
    if active is None:
        yield "No web container is active; run ./stack up"
        return
    active_since = datetime.datetime.fromtimestamp(since, datetime.timezone.utc).isoformat()
    yield (
        f"{active.name} has been active for {age(active_since)}: {rollout.server_of(active)}, "
        f"release {active.environment.get('RELEASE')}, image {active.image_id.removeprefix('sha256:')[:12]}"
    )
    for other in rollout.web_containers(stack):
        if other.id != active.id:
            yield (
                f"{other.name} ({rollout.server_of(other)}, {_state(other)}) is not active. If no rollout is running, "
                f"one was interrupted; run ./stack switch {rollout.server_of(active)}"
            )
    if rollout.image_id(image) != active.image_id:
        yield f"{image} is a newer image than the active one; run ./stack release"


def age(timestamp, now=None):
    """Return the time since a timestamp in its largest unit: `5 s`, `3 min`, `2 h`, `4 d`; `-` for Docker's zero."""
    if timestamp.startswith("0001"):
        return "-"
    moment = datetime.datetime.fromisoformat(timestamp[:19] + "+00:00")
    seconds = ((now or datetime.datetime.now(datetime.timezone.utc)) - moment).total_seconds()
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"
