"""Benchmark every server of the stack against common reference configurations, on this machine.

Print a table and a recommendation after about twelve minutes. Compare the CPU time of a request: it hardly depends on
the other load of the machine.

Examples:
  ./stack bench --quick                       two minutes: fewer rounds, three workloads
  ./stack bench --app shop:app --path /cart   measure GET /cart of your own app (APP_DIR)
  ./stack bench --page docs/explanation/performance.md    write the page and its plots
  ./stack bench --json results.json           write the results of every round
  ./stack bench --check bench/baseline.json       exit with 1 if a ratio is 15 % worse than in this file
"""

from cli import compose, project
from cli.commands import test

GROUP = "Develop"

# The operator's settings apply to the benchmark too, except those of the database, the secrets and the port.
EXCLUDED = ("APP_DIR", "DATABASE_URL", "DATABASE_URL_FILE", "PORT", "SECRET_KEY", "SECRET_KEY_FILE", "WSGI_SERVER")
OPTIONS = ["--pid", "host"]  # the memory of processes is read from /proc


def add_arguments(parser):
    """Add the options of `bench`."""
    parser.add_argument("--quick", action="store_true", help="two minutes instead of twelve")
    parser.add_argument("--app", metavar="MODULE:CALLABLE", help="measure this app instead of the sample workloads")
    parser.add_argument("--path", metavar="PATH", help="the path to request from this app; default: /")
    parser.add_argument("--rounds", metavar="N", help="number of rounds; default: 7, with --quick 3")
    parser.add_argument(
        "--only", metavar="NAME", action="append", default=[], help="measure only this setup; can be repeated"
    )
    parser.add_argument("--json", metavar="FILE", help="write the results of every round to this file")
    parser.add_argument("--page", metavar="FILE", help="write a page with plots")
    parser.add_argument("--check", metavar="FILE", help="compare the ratios with those of this file")


def run(args):
    """Build all images, then measure from a container in the network of the host."""
    words = ["--quick"] if args.quick else []
    for name in ("app", "path", "rounds", "json", "page", "check"):
        words += [f"--{name}", getattr(args, name)] if getattr(args, name) else []
    words += [word for name in args.only for word in ("--only", name)]
    return test.run_in_image(["python3", "-m", "bench", *words], [*OPTIONS, *_settings()])


def _settings():
    settings = project.web_environment(compose.config())
    return [f"--env={name}={value}" for name, value in settings.items() if value and name not in EXCLUDED]
