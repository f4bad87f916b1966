"""Benchmark every server of the stack against common reference configurations, on this machine.

Print tables with medians and 95 % intervals, and a recommendation. Compare ratios, since the figures themselves depend
on the machine and its other load. There are four parts: the comparison with other configurations; the ablation, which
replaces or leaves out one part of the stack at a time; latency at a constant rate; and overload.

Examples:
  ./stack bench                               all parts, in about half an hour
  ./stack bench --quick                       three minutes: the comparison with short rounds and two workloads
  ./stack bench --part latency                a single part
  ./stack bench --app shop:app --path /cart   measure GET /cart of your own app (APP_DIR)
  ./stack bench --page docs/explanation/performance.md    write the page and its plots
  ./stack bench --json results.json           write the values of every round
  ./stack bench --check bench/baseline.json   exit with 1 if a ratio is worse than in this file
"""

from cli import compose, project
from cli.commands import test

GROUP = "Develop"

# The operator's settings apply to the benchmark too, except those of the database, the secrets and the port.
EXCLUDED = ("APP_DIR", "DATABASE_URL", "DATABASE_URL_FILE", "PORT", "SECRET_KEY", "SECRET_KEY_FILE", "WSGI_SERVER")
OPTIONS = ["--pid", "host"]  # the memory of processes is read from /proc


def add_arguments(parser):
    """Add the options of `bench`."""
    parser.add_argument("--quick", action="store_true", help="rounds of 1 s instead of 5 s")
    parser.add_argument("--app", metavar="MODULE:CALLABLE", help="measure this app instead of the sample workloads")
    parser.add_argument("--path", metavar="PATH", help="the path to request from this app; default: /")
    parser.add_argument("--rounds", metavar="N", help="number of rounds; default: 7, at least 6")
    for name, help_text in (
        ("part", "measure this part: comparison, ablation, latency or overload; can be repeated"),
        ("only", "measure only this configuration; can be repeated"),
    ):
        parser.add_argument(f"--{name}", metavar="NAME", action="append", default=[], help=help_text)
    parser.add_argument("--json", metavar="FILE", help="write the results to this file, which keeps its other parts")
    parser.add_argument("--page", metavar="FILE", help="write a page with plots")
    parser.add_argument(
        "--check", metavar="FILE", help="exit with 1 if the interval of a ratio is beyond that in this file"
    )


def run(args):
    """Build all images, then measure from a container in the network of the host."""
    words = ["--quick"] if args.quick else []
    for name in ("app", "path", "rounds", "json", "page", "check"):
        words += [f"--{name}", getattr(args, name)] if getattr(args, name) else []
    words += [word for name in ("part", "only") for value in getattr(args, name) for word in (f"--{name}", value)]
    return test.run_in_image(["python3", "-m", "bench", *words], [*OPTIONS, *_settings()])


def _settings():
    settings = project.web_environment(compose.config())
    return [f"--env={name}={value}" for name, value in settings.items() if value and name not in EXCLUDED]
