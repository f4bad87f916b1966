"""Show what runs, how it is, which web container serves, and who answers where."""

import datetime

from cli import compose, engine, native, project, rollout
from cli.console import say
from cli.nginx import NginxContainer
from deploy.errors import StackError

GROUP = "Run"


def add_arguments(parser):
    """`status` has no options."""


def run(args):
    """One line per container. The exit status is 1 if one has failed or nothing answers."""
    if native.running():
        return native.status()
    engine.require()
    config = compose.config()
    name = config["name"]
    found = project.require_containers(name)
    rows = [("CONTAINER", "STATE", "HEALTH", "SINCE", "IMAGE")]
    rows += [(one.name, _state(one), one.health or "-", age(one.since), one.image) for one in found]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        say("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())
    say()
    for line in _serving(name, config["services"]["web"]["image"]):
        say(line)
    url = compose.url(name)
    answer = project.fetch_liveness(url) if url else {}
    say(f"{url or 'no port is published'}   {_answered(answer)}")
    return 0 if answer and not any(one.has_failed for one in found) else 1


def _state(one):
    return f"exited ({one.exit_code})" if one.state == "exited" else one.state


def _answered(answer):
    if not answer:
        return "nobody answers; type: ./stack logs"
    return f"answered by {answer.get('wsgi_server')}, release {answer.get('release')}"


def _serving(stack, image):
    """Which web container Nginx hands requests to, and what to do about any other."""
    try:
        front = NginxContainer.of(stack)
    except StackError:  # Apache alone, or nothing runs
        return
    one, (_, since) = rollout.serving(stack, front), front.serving()
    if one is None:
        yield "no web container serves; type: ./stack up"
        return
    moment = datetime.datetime.fromtimestamp(since, datetime.timezone.utc).isoformat()
    yield (
        f"{one.name} serves since {age(moment)}: {rollout.server(one)}, release {one.environment.get('RELEASE')}, "
        f"image {one.image_id.removeprefix('sha256:')[:12]}"
    )
    for other in rollout.webs(stack):
        if other.id != one.id:
            yield (
                f"{other.name} ({rollout.server(other)}, {_state(other)}) does not serve: a change is under way, "
                f"or was interrupted; then type: ./stack switch {rollout.server(one)}"
            )
    if rollout.image_id(image) != one.image_id:
        yield f"{image} is another image by now; type: ./stack release"


def age(stamp, now=None):
    """How long ago a moment of the engine's clock was: `5 s`, `3 min`, `2 h`, `4 d`; `-` if it never was."""
    if stamp.startswith("0001"):
        return "-"
    moment = datetime.datetime.fromisoformat(stamp[:19] + "+00:00")
    seconds = ((now or datetime.datetime.now(datetime.timezone.utc)) - moment).total_seconds()
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"
