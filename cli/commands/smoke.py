"""Run the smoke tests against a running stack: this one, or any URL.

The tests send requests from outside, as clients do, and create an account and a few posts. The exit status is that of
pytest.

Examples:
  ./stack smoke                                              test the stack on this machine
  ./stack smoke https://app.example.com                      test this URL
  ./stack smoke --expect-server uwsgi                        also fail unless uWSGI answers
  ./stack smoke --user ann@example.com --password "$SECRET"  use this account instead of a new one
"""

from cli import base_image, compose, engine, tool_images
from cli.console import ROOT
from deploy.errors import StackError

GROUP = "Inspect"
IMAGE = "smoke"


def add_arguments(parser):
    """Add the arguments of `smoke`."""
    parser.add_argument(
        "url", nargs="?", metavar="URL", help="for example https://app.example.com; default: the stack on this machine"
    )
    parser.add_argument("--expect-server", metavar="NAME", help="fail unless this WSGI server answers")
    for option, meaning in (
        ("--user", "an existing account; given twice, no account is created"),
        ("--password", "its password"),
    ):
        parser.add_argument(option, metavar=option[2:].upper(), action="append", default=[], help=meaning)
    parser.add_argument(
        "--rate-limits",
        choices=("on", "off"),
        help="RATE_LIMITS of the site, on or off; default: that of the running stack, or on with a URL",
    )


def run(args):
    """Run tests/smoke in a container, in the network of the host."""
    engine.require()
    config = compose.config(tools=True)
    url = args.url or compose.url(config["name"])
    if not url:
        raise StackError(
            "The stack is not running, and no URL was given.",
            "The smoke tests send requests to a running stack.",
            "./stack up && ./stack smoke\n./stack smoke https://app.example.com   (another stack)",
        )
    base_image.ensure_for(config)
    tool_images.build(IMAGE)
    expected = ["--expect-server", args.expect_server] if args.expect_server else []
    accounts = [f"--user={user}" for user in args.user] + [f"--password={word}" for word in args.password]
    rate_limits = args.rate_limits or ("on" if args.url else _rate_limits_of_the_stack(config["name"]))
    site = ["--base-url", url, "--rate-limits", rate_limits]
    tests = ["pytest", "-p", "no:cacheprovider", "tests/smoke", *site, *expected, *accounts]
    options = ["--volume", f"{ROOT}:/src:ro", "--workdir", "/src"]
    return tool_images.run(config["services"][IMAGE]["image"], options, tests)


def _rate_limits_of_the_stack(name):
    """RATE_LIMITS of the running web container: .env may have been changed since it was created."""
    containers = (container for container in compose.containers(name) if container.service == "web")
    return next((container.environment.get("RATE_LIMITS") for container in containers), None) or "on"
