"""Check the running stack and its host for common problems.

Check settings, memory, restarts, disk, file owners, the clock, proxies, allowed hosts, database connections, limits and
the age of Debian's packages, and print a fix for each problem. With a URL, also check its TLS certificate. The checks
take a few seconds and change nothing.

The exit status is 1 if there is an error. Warnings may be intended and do not count.

Examples:
  ./stack doctor                           check the stack on this machine
  ./stack doctor https://app.example.com   also check the certificate of this URL
"""

from cli import compose, engine, native, project
from cli.console import say
from cli.doctor import checks, facts
from deploy.errors import StackError

GROUP = "Inspect"


def add_arguments(parser):
    """Add the argument of `doctor`."""
    parser.add_argument("url", nargs="?", metavar="URL", help="the public https URL of the stack")


def run(args):
    """Print one line for each check, and a line with the fix below each problem."""
    if native.running():
        native.settings()  # raises the errors of the settings
        raise StackError(
            "The stack runs as plain processes.",
            "Their settings are valid. The doctor checks everything else in containers only.",
            "./stack status   (and ./stack smoke, which checks the responses)",
        )
    engine.require()
    config = compose.config()
    if not compose.containers(config["name"]):
        project.check_settings(config)
    project.require_containers(config["name"])
    results = list(run_checks(facts.gather(config, compose.url(config["name"]), args.url)))
    for level, check, finding, fix in results:
        say(f"{level:<8} {check:<21} {finding}")
        if fix:
            say(f"{'':<8} {'fix:':>21} {fix}")
    errors, warnings = (sum(result[0] == level for result in results) for level in ("error", "warning"))
    say(f"\n{len(results)} checks, errors: {errors}, warnings: {warnings}")
    return 1 if errors else 0


def run_checks(gathered):
    """Yield (level, name of the check, finding, fix) for each check; the level is ok, warning or error."""
    for name, check in checks.CHECKS.items():
        try:
            yield "ok", name, check(gathered), ""
        except checks.Finding as problem:
            yield problem.level, name, problem.finding, problem.fix
        except (KeyError, IndexError):  # the container does not exist, or its facts cannot be read
            yield "error", name, "cannot be checked: a container is missing", "./stack up"
