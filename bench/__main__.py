"""The part of ./stack bench that runs in the test image. Its options are explained in cli/commands/bench.py."""

import argparse
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from bench import configurations, goals, machine, measure, meter, page, results, table
from bench.configurations import PARTS, Configuration
from bench.figures import MIN_ROUNDS, ROUNDS
from bench.results import Results
from bench.workloads import JSON, OVERLOADED, STATIC, WORKLOADS, Workload
from cli.console import say, step
from deploy.errors import EXIT_FAILURE, EXIT_USAGE, StackError

QUICK_WORKLOADS = (JSON, STATIC)
QUICK_SECONDS, FULL_SECONDS = 1, 5  # the counted window of a round
STARTS = 3  # how often the start time is measured
PARALLEL = 2  # configurations that start or stop at the same time


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(prog="./stack bench", allow_abbrev=False)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--part", action="append", default=[])
    parser.add_argument("--only", action="append", default=[])
    parser.add_argument("--app")
    parser.add_argument("--path", default="/")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--page", type=Path)
    parser.add_argument("--check", type=Path)
    args = parser.parse_args()
    args.part = args.part or (["comparison"] if args.quick or args.app else list(PARTS))
    args.available = configurations.all_configurations(args.app)
    _require_names("part", args.part, PARTS)
    _require_names("only", args.only, args.available)
    if args.rounds < MIN_ROUNDS:
        raise StackError(
            f"--rounds {args.rounds} is too small.",
            f"An interval of 95 % needs {MIN_ROUNDS} rounds.",
            f"./stack bench --rounds {MIN_ROUNDS}",
            status=EXIT_USAGE,
        )
    return args


def _require_names(option: str, names, available) -> None:
    if unknown := [name for name in names if name not in available]:
        raise StackError(
            f"--{option} {unknown[0]} does not exist.",
            f"Possible values: {', '.join(available)}.",
            f"./stack bench --{option} {next(iter(available))}",
            status=EXIT_USAGE,
        )


@contextmanager
def running(selected: list[Configuration], ready_path: str) -> Iterator[None]:
    """Start the configurations and wait until they respond; afterwards stop and remove them."""
    try:
        with step("starting the configurations"), ThreadPoolExecutor(PARALLEL) as pool:
            list(pool.map(Configuration.up, selected))
            for configuration in selected:
                if configuration.kind != "bound":  # these do not answer for the app
                    configuration.await_response(ready_path)
        yield
    finally:
        with step("stopping the configurations"), ThreadPoolExecutor(PARALLEL) as pool:
            list(pool.map(Configuration.down, selected))


def run(args: argparse.Namespace) -> Results:
    """Measure the selected parts, one after the other. Results of other parts in the file of --json are kept."""
    measured = Results.read(args.json) if args.json and args.json.exists() else Results()
    measured.machine, measured.seconds = machine.describe(), QUICK_SECONDS if args.quick else FULL_SECONDS
    ready_path = args.path if args.app else JSON.path
    own = Workload("page", args.path, "a page of the custom app") if args.app else None
    for part in args.part:
        kinds = PARTS[part]
        selected = [c for c in args.available.values() if c.kind in kinds and (not args.only or c.name in args.only)]
        with running(selected, ready_path):
            if part == "comparison":
                stack = [configuration for configuration in selected if configuration.kind == "stack"]
                measured.memory = {c.name: round(meter.pss(c.containers)) for c in stack}
                workloads = [own] if own else QUICK_WORKLOADS if args.quick else WORKLOADS
                measured.parts[part] = measure.cpu(selected, workloads, args.rounds, measured.seconds)
            elif part == "ablation":
                measured.parts[part] = measure.cpu(selected, [own or JSON], args.rounds, measured.seconds)
            elif part == "latency":
                measured.parts[part] = measure.latency(selected, own or JSON, args.rounds, measured.seconds)
            else:
                overloaded = [own] if own else OVERLOADED
                measured.overload = {workload.name: measure.overload(selected, workload) for workload in overloaded}
    if "comparison" in args.part and not (args.quick or args.app or args.only):
        measured.start_times = [measure.start_time(configurations.default_stack(), "/") for _ in range(STARTS)]
        measured.images = machine.image_sizes()
    return measured


def report(args: argparse.Namespace, measured: Results) -> int:
    """Print the results, write the requested files and compare with the baseline. Return the exit status."""
    for part, rounds in measured.parts.items():
        names = ["p50", "p99"] if part == "latency" else ["cpu", "rate"]
        rows = table.figures(list(args.available.values()), rounds, rounds.workloads(), names)
        say(f"\n{part}: median (95 % interval) of {rounds.count()} rounds\n\n{table.text_table(rows)}")
    titles = {name: configuration.title for name, configuration in args.available.items()}
    for workload, by_configuration in measured.overload.items():
        say(f"\noverload, {workload}\n\n{table.text_table(table.overload(titles, by_configuration))}")
    ratios = list(goals.ratios(measured.parts))
    if ratios:
        say("\n" + table.text_table(table.ratios(ratios)))
    baseline = results.baseline(args.check) if args.check else {}
    if args.json:
        measured.write(args.json)
    if args.page:
        page.write(args.page, measured, args.available)
    if "comparison" in measured.parts:
        say("\n" + recommendation(args, measured))
    regressions = goals.regressions(measured.parts, baseline)
    for line in regressions:
        print(f"regression: {line}", file=sys.stderr)
    return EXIT_FAILURE if regressions else 0


def recommendation(args: argparse.Namespace, measured: Results) -> str:
    """One sentence: the server with the least CPU per request on this machine."""
    rounds = measured.parts["comparison"]
    [workload, *_] = rounds.workloads()
    servers = [configuration.name for configuration in args.available.values() if configuration.kind == "stack"]
    figures = {name: rounds.figure(name, workload, "cpu") for name in servers}
    ranking = sorted((figure.median, server) for server, figure in figures.items() if figure)
    if not ranking:
        return "No server of the stack answered without errors. See the errors above."
    (_, best), (_, worst) = ranking[0], ranking[-1]
    ratio = rounds.ratio("cpu", (best, workload), (worst, workload))
    comparison = f", {ratio} × that of {worst}" if worst != best else ""
    cost = f"{figures[best]} µs of CPU per request ({workload}){comparison}"
    return f"Recommended on this machine: WSGI_SERVER={best}, which uses {cost}."


def _check_files(args: argparse.Namespace) -> None:
    """Raise StackError before the measurement, not after it, for files that cannot be used."""
    if args.check:
        results.baseline(args.check)
    for file in (args.json, args.page):
        if file and not file.parent.is_dir():
            raise StackError(
                f"{file} cannot be written.",
                f"There is no folder {file.parent}.",
                f"mkdir -p {file.parent}",
                status=EXIT_USAGE,
            )


def main() -> int:
    """Run the benchmark and return the exit status."""
    try:
        args = arguments()
        _check_files(args)
        return report(args, run(args))
    except StackError as error:
        print(error, file=sys.stderr)
        return error.status


if __name__ == "__main__":
    sys.exit(main())
