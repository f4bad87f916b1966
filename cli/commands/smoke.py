"""Check a live stack from outside: this or any URL.

Without URL: the stack that runs here. The exit status is pytest's.
"""

from cli import base_image, compose, engine, tool_images
from cli.console import ROOT
from deploy.errors import StackError

GROUP = "Inspect"
IMAGE = "smoke"


def add_arguments(parser):
    """The options of `smoke`."""
    parser.add_argument("url", nargs="?", metavar="URL", help="such as https://app.example")
    parser.add_argument("--expect-server", metavar="NAME", help="fail unless this WSGI server answers")
    for option, meaning in (
        ("--user", "an account there, instead of a new one; twice, to make none"),
        ("--password", "its password"),
    ):
        parser.add_argument(option, metavar=option[2:].upper(), action="append", default=[], help=meaning)


def run(args):
    """Run tests/smoke in a container of their own, in the host's network."""
    engine.require()
    config = compose.config(profiles=["test"])
    url = args.url or compose.url(config["name"])
    if not url:
        raise StackError(
            "There is nothing to check: the stack is not running, and no URL was given.",
            "The smoke tests ask a live stack from outside.",
            "./stack up && ./stack smoke\n./stack smoke https://app.example",
        )
    base_image.ensure_for(config)
    tool_images.build(IMAGE)
    expected = ["--expect-server", args.expect_server] if args.expect_server else []
    accounts = [f"--user={user}" for user in args.user] + [f"--password={word}" for word in args.password]
    tests = ["pytest", "-p", "no:cacheprovider", "tests/smoke", "--base-url", url, *expected, *accounts]
    options = ["--volume", f"{ROOT}:/src:ro", "--workdir", "/src"]
    return tool_images.run(config["services"][IMAGE]["image"], options, tests)
