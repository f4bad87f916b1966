"""What ./stack bench runs, inside the image of the tests: see cli/commands/bench.py for its options."""

import argparse
import json
import os
import platform
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path

from bench import goals, measure, meter, page, setups, table
from bench.docker import docker
from bench.measure import Rounds
from bench.setups import Setup, Work
from cli.console import Step, say
from deploy.errors import StackError

QUICK = ("json", "timeline", "static")
QUICK_ROUNDS, FULL_ROUNDS = 3, 7
SECONDS = 1  # of one round: many short ones, in turn, are worth more than few long ones
CURVE_SECONDS = 2


def arguments() -> argparse.Namespace:
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


def chosen(args: argparse.Namespace) -> tuple[list[Setup], list[Work]]:
    """What is compared, and by which work."""
    every = setups.every(args.app)
    names = [one.name for one in every]
    if unknown := [name for name in args.only if name not in names]:
        raise StackError(
            f"There is nothing to measure that is called '{unknown[0]}'.",
            f"There are: {', '.join(names)}.",
            f"./stack bench --only {names[0]}",
            status=2,
        )
    found = [one for one in every if not args.only or one.name in args.only]
    if args.app:
        brought = Work("page", args.path, "the brought app's own page")
        return [one for one in found if one.name != "bare-nginx"], [brought]
    return found, [work for work in setups.WORKS if work.name in QUICK or not args.quick]


def start(found: list[Setup], ready: str) -> None:
    """Starts all of them; two at a time, as the images are there."""
    step = Step("starting what is compared")
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(Setup.up, found))
    for setup in found:
        step.tick(setup.title)
        if setup.name not in ("bare-nginx", "bare-callable"):
            setup.await_answer(ready)
    step.end()


def curves(args, found, works, rounds):
    """The load curves of the stack's own servers; none with --quick or a brought app."""
    if args.quick or args.app:
        return {}, {}
    own, by_name = [one for one in found if one.kind == "stack"], {work.name: work for work in works}

    def ask(one):
        return measure.by_clients(one, by_name["json"], CURVE_SECONDS)

    def offer(one):
        capacity = rounds.figure(one.name, "wait", "rate")
        return measure.by_offer(one, by_name["wait"], capacity.median, CURVE_SECONDS) if capacity else iter(())

    closed = measure.curves(own, ask, "1 to 512 clients")
    return closed, measure.curves(own, offer, "0.5 to 4 times what can be served")


def machine() -> dict[str, str]:
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
    """Of the engine, and of what the images hold."""
    engine = docker("version", "--format", "{{.Server.Version}}").stdout.strip()
    packages = "from importlib.metadata import version as v; print(v('gunicorn'), v('uwsgi'), v('mod_wsgi'), sep='\\n')"
    asked = f'nginx -v 2>&1; apache2 -v | head -1; python3 -V; python3 -c "{packages}"'
    image = f"tripod-bench:{os.environ.get('IMAGE_TAG') or 'latest'}"
    said = docker("run", "--rm", "--network", "none", image, "sh", "-c", asked).stdout.splitlines()
    names = ("Nginx", "Apache", "Python", "Gunicorn", "uWSGI", "mod_wsgi")  # each has a line, with its version in it
    found = {name: re.search(r"\d+(\.\d+)+", line)[0] for name, line in zip(names, said, strict=True)}
    return {"engine": f"Docker Engine {engine}"} | {name: f"{name} {version}" for name, version in found.items()}


def advice(found: list[Setup], works: list[Work], rounds: Rounds) -> str:
    """Which server to take on this machine, in a sentence."""
    work = works[0].name
    served = {one.name: rounds.figure(one.name, work, "cpu") for one in found if one.kind == "stack"}
    order = sorted((figure.median, name) for name, figure in served.items() if figure and name != "gunicorn-sync")
    if not order:
        return "No server of the stack answered without errors: look at the errors above."
    (least, best), (most, last) = order[0], order[-1]
    others = f", {1 - least / most:.0%} less than {last}" if last != best else ""
    return f"Advice for this machine: WSGI_SERVER={best}, which takes {least:.0f} µs of CPU a request ({work}){others}."


def run(args: argparse.Namespace) -> int:
    found, works = chosen(args)
    ready = args.path if args.app else "/bench/json"
    try:
        start(found, ready)
        memory = {one.name: meter.pss(one.containers) for one in found if one.kind != "limit"}  # before any load
        rounds = measure.measure(found, works, args.rounds or (QUICK_ROUNDS if args.quick else FULL_ROUNDS), SECONDS)
        closed, offered = curves(args, found, works, rounds)
    finally:
        step = Step("stopping it")
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(Setup.down, found))
        step.end()
    first = [] if args.quick or args.app else [measure.first_answer(setups.as_it_comes(), "/") for _ in range(3)]
    result = page.Result(machine(), found, works, rounds, memory, closed, offered, first, measure.image_sizes())
    return report(args, result)


def report(args: argparse.Namespace, result: page.Result) -> int:
    """Prints, writes what was asked for, and compares; the exit status."""
    say("\n" + table.plain(table.overview(result.setups, result.works, result.rounds, result.memory)) + "\n")
    kept = json.loads(args.check.read_text())["ratios"] if args.check else {}
    for ratio, value in goals.ratios(result.rounds):
        say(f"  {ratio.name:<45} {value:6.2f}   goal {'≥' if ratio.more_is_better else '≤'} {ratio.goal}")
    if args.json:
        args.json.write_text(json.dumps(result.as_json(), indent=1) + "\n")
    if args.page:
        page.write(args.page, result)
    say("\n" + advice(result.setups, result.works, result.rounds))
    worse = goals.worse(result.rounds, kept)
    for line in worse:
        print(f"worse: {line}", file=sys.stderr)
    return 1 if worse else 0


def main() -> int:
    try:
        return run(arguments())
    except StackError as problem:
        print(problem, file=sys.stderr)
        return problem.status


if __name__ == "__main__":
    sys.exit(main())
