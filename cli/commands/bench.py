"""Measure every server of the stack beside what people copy, on this machine.

Ends with a table and a sentence of advice. Takes some twelve minutes; CPU for each
request is the figure to compare, since it hardly depends on what else goes on.
  ./stack bench --quick                       two minutes: fewer rounds, three kinds of work
  ./stack bench --app shop:app                your own app (APP_DIR): GET / of it, or --path
  ./stack bench --page docs/explanation/performance.md    write the page and its plots
  ./stack bench --json FILE                   every round, for machines
  ./stack bench --check bench/baseline.json   exit status 1 if a ratio is 15 % worse than the baseline
"""

from cli import compose
from cli.commands import test

GROUP = "Develop"

# What the person has set for the stack holds here too; but no database of theirs is touched, nor their port.
LEFT_OUT = ("APP_DIR", "DATABASE_URL", "DATABASE_URL_FILE", "PORT", "SECRET_KEY", "SECRET_KEY_FILE", "WSGI_SERVER")
OPTIONS = ["--pid", "host"]  # the memory of processes is read from /proc


def add_arguments(parser):
    """The options of `bench`."""
    parser.add_argument("--quick", action="store_true", help="two minutes instead of twelve")
    parser.add_argument("--app", metavar="MODULE:CALLABLE", help="measure this app instead of the sample work")
    parser.add_argument("--path", metavar="PATH", help="what is asked of that app; default: /")
    parser.add_argument("--rounds", metavar="N", help="how many rounds; default: 7, with --quick 3")
    parser.add_argument("--only", metavar="NAME", action="append", default=[], help="only this setup; may be repeated")
    parser.add_argument("--json", metavar="FILE", help="write every round to this file")
    parser.add_argument("--page", metavar="FILE", help="write a page with plots")
    parser.add_argument("--check", metavar="FILE", help="compare the ratios with those of this file")


def run(args):
    """Build everything, then measure from a container in the host's network."""
    words = ["--quick"] if args.quick else []
    for name in ("app", "path", "rounds", "json", "page", "check"):
        words += [f"--{name}", getattr(args, name)] if getattr(args, name) else []
    words += [word for name in args.only for word in ("--only", name)]
    return test.run_in_image(["python3", "-m", "bench", *words], [*OPTIONS, *_settings()])


def _settings():
    given = compose.config()["services"]["web"]["environment"]
    return [f"--env={name}={value}" for name, value in given.items() if value and name not in LEFT_OUT]
