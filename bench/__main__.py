"""The part of ./stack bench that runs in the test image. Its options are explained in cli/commands/bench.py."""

import argparse
import json
import os
import platform
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from functools import partial
from pathlib import Path

from bench import configurations, goals, measure, meter, page, table
from bench.configurations import Configuration, Workload
from bench.docker import docker
from bench.measure import Point, Rounds
from cli.console import Step, say
from deploy.errors import EXIT_FAILURE, EXIT_USAGE, StackError

QUICK_WORKLOADS = ("json", "timeline", "static")
QUICK_ROUNDS, FULL_ROUNDS = 3, 7
SECONDS = 1  # per round: many short rounds in turn tell more than a few long ones
CURVE_SECONDS = 2  # per point of a curve
STARTS = 3  # how often the start time is measured
PARALLEL = 2  # configurations that start or stop at the same time


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(prog="./stack bench", allow_abbrev=False)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--check", type=Path)
    parser.add_argument("--page", type=Path)
    parser.add_argument("--app")
    parser.add_argument("--path", default="/")
    parser.add_argument("--only", action="append", default=[])
    return parser.parse_args()


def select(args: argparse.Namespace) -> tuple[list[Configuration], list[Workload]]:
    """The configurations and workloads that the options select."""
    available = configurations.all_configurations(args.app)
    names = [configuration.name for configuration in available]
    if unknown := [name for name in args.only if name not in names]:
        raise StackError(
            f"There is no configuration '{unknown[0]}'.",
            f"The configurations are {', '.join(names)}.",
            f"./stack bench --only {names[0]}",
            status=EXIT_USAGE,
        )
    selected = [configuration for configuration in available if not args.only or configuration.name in args.only]
    if args.app:
        workload = Workload("page", args.path, "a page of the custom app")
        return [configuration for configuration in selected if configuration.name != "bare-nginx"], [workload]
    workloads = configurations.WORKLOADS
    return selected, [workload for workload in workloads if workload.name in QUICK_WORKLOADS or not args.quick]


def start(selected: list[Configuration], ready_path: str) -> None:
    """Start the configurations and wait until they respond."""
    step = Step("starting the configurations")
    with ThreadPoolExecutor(PARALLEL) as pool:
        list(pool.map(Configuration.up, selected))
    for configuration in selected:
        step.tick(configuration.title)
        if configuration.name not in ("bare-nginx", "bare-callable"):  # neither answers for the app
            configuration.await_response(ready_path)
    step.end()


def stop(selected: list[Configuration]) -> None:
    """Stop and remove the configurations."""
    step = Step("stopping the configurations")
    with ThreadPoolExecutor(PARALLEL) as pool:
        list(pool.map(Configuration.down, selected))
    step.end()


def idle_memory(selected: list[Configuration]) -> dict[str, float]:
    """MB by configuration before any load. Lower bounds are left out because they run no server for the app."""
    return {
        configuration.name: meter.pss(configuration.containers)
        for configuration in selected
        if configuration.kind != "bound"
    }


Curves = dict[str, list[Point]]


def load_curves(selected: list[Configuration], rounds: Rounds) -> tuple[Curves, Curves]:
    """Measure this stack's configurations by number of clients and by offered load."""
    own = [configuration for configuration in selected if configuration.kind == "stack"]
    workloads = {workload.name: workload for workload in configurations.WORKLOADS}
    by_clients = partial(measure.by_clients, workload=workloads["json"], seconds=CURVE_SECONDS)

    def by_offered_load(configuration):
        capacity = rounds.figure(configuration.name, "wait", "rate")
        if not capacity:
            return iter(())
        return measure.by_offered_load(configuration, workloads["wait"], capacity.median, CURVE_SECONDS)

    return (
        measure.curves(own, by_clients, "closed loop, 1 to 512 clients"),
        measure.curves(own, by_offered_load, "open loop, 0.5 to 4 × capacity"),
    )


def machine() -> dict[str, str]:
    """The date, the hardware and the versions that a result belongs to."""
    [model] = re.findall(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text())[:1] or [platform.machine()]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    return {
        "date": str(date.today()),
        "cpu": f"{os.cpu_count()} × {model}",
        "memory": f"{memory:.0f} GB",
        "kernel": f"Linux {platform.release()}",
        **versions(),
    }


def versions() -> dict[str, str]:
    """The versions of the engine and of the software in the image bench."""
    engine = docker("version", "--format", "{{.Server.Version}}").stdout.strip()
    packages = "from importlib.metadata import version as v; print(v('gunicorn'), v('uwsgi'), v('mod_wsgi'), sep='\\n')"
    script = f'nginx -v 2>&1; apache2 -v | head -1; python3 -V; python3 -c "{packages}"'
    image = f"tripod-bench:{os.environ.get('IMAGE_TAG') or 'latest'}"
    lines = docker("run", "--rm", "--network", "none", image, "sh", "-c", script).stdout.splitlines()
    names = ("Nginx", "Apache", "Python", "Gunicorn", "uWSGI", "mod_wsgi")  # in the order of the script's lines
    numbers = {name: re.search(r"\d+(\.\d+)+", line)[0] for name, line in zip(names, lines, strict=True)}
    return {"engine": f"Docker Engine {engine}"} | {name: f"{name} {number}" for name, number in numbers.items()}


def recommendation(selected: list[Configuration], workloads: list[Workload], rounds: Rounds) -> str:
    """One sentence: the server with the least CPU per request on this machine."""
    workload = workloads[0].name
    servers = [configuration.name for configuration in selected if configuration.kind == "stack"]
    figures = {name: rounds.figure(name, workload, "cpu") for name in servers if name != "gunicorn-sync"}
    ranking = sorted((figure.median, server) for server, figure in figures.items() if figure)
    if not ranking:
        return "No server of the stack answered without errors. See the errors above."
    (least, best), (most, worst) = ranking[0], ranking[-1]
    comparison = f", {1 - least / most:.0%} less than {worst}" if worst != best else ""
    cost = f"{least:.0f} µs of CPU per request ({workload}){comparison}"
    return f"Recommended on this machine: WSGI_SERVER={best}, which uses {cost}."


def run(args: argparse.Namespace) -> int:
    """Start, measure and stop the selected configurations, and report the results."""
    selected, workloads = select(args)
    number_of_rounds = args.rounds or (QUICK_ROUNDS if args.quick else FULL_ROUNDS)
    with_curves = not (args.quick or args.app)
    by_clients, by_offered_load, start_times = {}, {}, []
    try:
        start(selected, args.path if args.app else "/bench/json")
        memory = idle_memory(selected)
        rounds = measure.measure(selected, workloads, number_of_rounds, SECONDS)
        if with_curves:
            by_clients, by_offered_load = load_curves(selected, rounds)
    finally:
        stop(selected)
    if with_curves:
        start_times = [measure.start_time(configurations.default_stack(), "/") for _ in range(STARTS)]
    result = page.Result(
        machine=machine(),
        configurations=selected,
        workloads=workloads,
        rounds=rounds,
        memory=memory,
        by_clients=by_clients,
        by_offered_load=by_offered_load,
        start_times=start_times,
        images=measure.image_sizes(),
    )
    return report(args, result)


def report(args: argparse.Namespace, result: page.Result) -> int:
    """Print the result, write the requested files and compare with the baseline. Return the exit status."""
    overview = table.overview(result.configurations, result.workloads, result.rounds, result.memory)
    say("\n" + table.text_table(overview) + "\n")
    baseline = json.loads(args.check.read_text())["ratios"] if args.check else {}
    for ratio, value in goals.ratios(result.rounds):
        say(f"  {ratio.name:<45} {value:6.2f}   goal {ratio.goal_text}")
    if args.json:
        args.json.write_text(json.dumps(result.as_json(), indent=1) + "\n")
    if args.page:
        page.write(args.page, result)
    say("\n" + recommendation(result.configurations, result.workloads, result.rounds))
    regressions = goals.regressions(result.rounds, baseline)
    for line in regressions:
        print(f"regression: {line}", file=sys.stderr)
    return EXIT_FAILURE if regressions else 0


def main() -> int:
    """Run the benchmark and return the exit status."""
    try:
        return run(arguments())
    except StackError as error:
        print(error, file=sys.stderr)
        return error.status


if __name__ == "__main__":
    sys.exit(main())
