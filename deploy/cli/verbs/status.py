"""Show what runs, how it is, and who answers where."""

import datetime

from deploy.cli import compose, engine, native, project
from deploy.cli.console import say


def add_arguments(parser):
    """`status` has no options."""


def run(args):
    """One line per container. The exit status is 1 if one has failed or nothing answers."""
    if native.running():
        return native.status()
    engine.require()
    name = compose.config()["name"]
    found = project.require_containers(name)
    rows = [("SERVICE", "STATE", "HEALTH", "SINCE", "IMAGE")]
    rows += [(one.service, _state(one), one.health or "-", age(one.since), one.image) for one in found]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        say("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())
    url = compose.url(name)
    answer = project.health(url) if url else {}
    say(f"\n{url or 'no port is published'}   {_answered(answer)}")
    return 0 if answer and not any(one.has_failed for one in found) else 1


def _state(one):
    return f"exited ({one.exit_code})" if one.state == "exited" else one.state


def _answered(answer):
    if not answer:
        return "nobody answers; type: ./stack logs"
    return f"answered by {answer.get('wsgi_server')}, release {answer.get('release')}"


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
