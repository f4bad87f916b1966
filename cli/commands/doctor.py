"""Look for what stacks like this one fail by, on the running stack and its host, and say what to do.

With a URL, such as https://app.example.com, its certificate too. Takes a few seconds and changes nothing. The exit
status is 1 if something is bad; what is only doubtful does not count.
"""

from cli import compose, engine, native, project
from cli.console import say
from cli.doctor import checks, facts
from deploy.errors import StackError

GROUP = "Inspect"


def add_arguments(parser):
    """The options of `doctor`."""
    parser.add_argument("url", nargs="?", metavar="URL", help="where people reach the stack, if not here")


def run(args):
    """One line for each check, and what to do below those that found something."""
    if native.running():
        raise StackError(
            "The stack runs as plain processes.",
            "The doctor looks into containers, and there are none.",
            "./stack status; ./stack smoke",
        )
    engine.require()
    name = compose.config()["name"]
    project.require_containers(name)
    results = list(judge(facts.gather(name, compose.url(name), args.url)))
    for level, title, found, fix in results:
        say(f"{level:<9} {title:<22} {found}")
        if fix:
            say(f"{'':<9} {'type:':>22} {fix}")
    bad = sum(level == "bad" for level, *_ in results)
    say(f"\n{len(results)} checks, {bad} bad" if bad else f"\n{len(results)} checks, nothing bad")
    return 1 if bad else 0


def judge(found):
    """(ok, doubtful or bad; the check's name; what it found; what to do) for each check of a facts."""
    for check in checks.CHECKS:
        try:
            yield "ok", check.__doc__, check(found), ""
        except checks.Doubtful as finding:
            level = "bad" if isinstance(finding, checks.Bad) else "doubtful"
            yield level, check.__doc__, *finding.args
        except (KeyError, IndexError):  # of a container that is not there, or can't be looked into
            yield "bad", check.__doc__, "can't be seen", "./stack up"
