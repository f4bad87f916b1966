"""Write the results as docs/explanation/performance.md, with its plots."""

import textwrap
from collections.abc import Iterator
from pathlib import Path

from bench import goals, measure, plot, table
from bench.configurations import PARTS, Configuration
from bench.results import Results
from bench.workloads import OVERLOADED, WORKLOADS

GOAL_START = 3  # seconds
GOAL_MEMORY = 150  # MB
GOAL_WEB_IMAGE, GOAL_NGINX_IMAGE = 250, 150  # MB
COLOURS = {"stack": 0, "reference": 1, "bound": 6}  # by kind of configuration: indexes of plot.COLOURS
WRITTEN_BY_HAND = "## Tuning\n"  # and what follows it

INTRODUCTION = """# Performance

`./stack bench --page docs/explanation/performance.md` writes this page from a new measurement, which takes about half
an hour, and keeps the section [Tuning](#tuning) and what follows it. `./stack bench --quick` takes three minutes;
`./stack bench --app module:callable` measures your own app. The values of all rounds are in `bench/baseline.json`.

{machine}

## How to read the figures

- Compare **ratios**, not absolute figures. CPU time per request depends on the machine and on what else runs on it: the
  same configuration took a third more or less in different runs. All configurations are measured in turn in every
  round, so a ratio compares two measurements that were made within a few minutes. A table shows the median of the
  ratios of all {rounds} rounds.
- The **95 % interval** in parentheses contains the true median with that probability. It is computed from the order of
  the values alone ([order statistics](https://en.wikipedia.org/wiki/Median#Confidence_interval)). Two configurations
  differ if the interval of their ratio does not contain 1.
- **CPU µs** is the CPU time per request of all containers of a configuration, Nginx included, as counted by their
  cgroups. The load is a closed loop of {clients} clients on keep-alive connections (wrk). Requests and CPU are counted
  in the same window of {seconds} s, in the middle of the load.
- **Latency** comes from an open loop: requests are due at a constant rate, and latency counts from that time, so that
  a server that stalls cannot hide it. The load generator (`bench/open_loop.py`) has priority over the server.
- Rounds with more than one error (a response other than 2xx, or none) in 1,000 requests, and rounds in which the
  machine stalled, do not count. *errors* is the number of errors in all rounds. A figure needs at least 6
  rounds; "–" means that it has fewer.

Limits of these figures: the load generator runs on the same CPUs as the server and takes a part of them. There is one
virtual machine, no network, no TLS and no HTTP/2. The database is SQLite with 1,000 posts, which is in memory. What the
access log costs outside of the containers, in the engine, is not counted.
"""


def _comparison(results: Results, configurations: dict[str, Configuration]) -> Iterator[str]:
    rounds = results.parts["comparison"]
    workloads = rounds.workloads()
    meanings = [f"- *{workload.name}*: {workload.meaning}" for workload in WORKLOADS if workload.name in workloads]
    selected = list(configurations.values())
    yield "## Against other configurations\n"
    yield _paragraph(
        "The references (`bench/reference`) are written for this benchmark, with what a careful operator would use: "
        "the same base image, packages, processes and threads, connections to the upstream that are kept alive, an "
        "access log that is written in blocks, and a cache. The last rows are lower bounds: an Nginx that only serves "
        "files or cached responses, and the WSGI callable called in process, without a server."
    )
    yield "\n" + "\n".join(meanings) + "\n"
    yield "![CPU of a JSON request](performance/json.svg)\n"
    yield table.markdown_table(table.figures(selected, rounds, workloads, ["cpu"])) + "\n"
    yield "Capacity, with the load generator on the same CPUs:\n"
    yield table.markdown_table(table.figures(selected, rounds, workloads, ["rate"])) + "\n"
    yield _ratios(results, goals.REFERENCES + goals.NGINX)


def _ablation(results: Results, configurations: dict[str, Configuration]) -> Iterator[str]:
    yield "## What each part costs or saves\n"
    yield _paragraph(
        "Each row is this stack with Gunicorn and a single difference, divided by the stack itself: above 1, the part "
        "that is replaced or left out saves CPU; below 1, it costs CPU. The request is the JSON view."
    )
    rows = [
        [configurations[ratio.numerator[0]].title.removeprefix("Tripod, "), str(interval)]
        for ratio, interval in goals.ratios(results.parts, goals.ABLATION)
    ]
    yield "\n" + table.markdown_table([["difference", "CPU ÷ the stack's"], *rows]) + "\n"
    yield _paragraph(
        "The stack's own cost: each server, divided by the same server behind the same Nginx without middleware, "
        "watchdog and limits for each client."
    )
    yield "\n" + _ratios(results, goals.OWN_COST)


def _latency(results: Results, configurations: dict[str, Configuration]) -> Iterator[str]:
    rounds = results.parts["latency"]
    [workload] = rounds.workloads()
    lag = max(value for by_workload in rounds.values.values() for value in by_workload[workload]["lag"])
    rates = ", ".join(
        f"{name}: {by_workload[workload]['rate'][0]:.0f}/s"
        for name, by_workload in rounds.values.items()
        if configurations[name].kind == "stack"
    )
    yield "## Latency\n"
    yield _paragraph(
        f"A constant rate on {measure.CLIENTS} kept-alive connections: {measure.LATENCY_LOAD:g} × the capacity of the "
        f"slowest configuration with the same WSGI server, so that these can be compared ({rates}). In no round was "
        f"the 99th percentile of the load generator's own delay more than {lag:.1f} ms."
    )
    rows = table.figures(list(configurations.values()), rounds, [workload], ["p50", "p99"])
    yield "\n" + table.markdown_table(rows) + "\n"
    yield _ratios(results, goals.TAIL)


def _overload(results: Results, configurations: dict[str, Configuration]) -> Iterator[str]:
    yield "## Overload\n"
    yield _paragraph(
        "A constant rate of up to four times the capacity (the rate of the closed loop), with as many connections as "
        "it takes. Requests that find the queue full are refused with 503. Refusing costs CPU, which a view that "
        "computes lacks and a view that sleeps does not."
    )
    titles = {name: configuration.title for name, configuration in configurations.items()}
    for workload in OVERLOADED:
        if workload.name in results.overload:
            yield f"\n*{workload.name}*: {workload.meaning}\n"
            yield f"![Responses by offered load](performance/overload-{workload.name}.svg)\n"
            yield table.markdown_table(table.overload(titles, results.overload[workload.name]))
    yield ""


def _footprint(results: Results) -> Iterator[str]:
    times = results.start_times
    starts = ", ".join(f"{seconds:.1f}" for seconds in times)
    yield "## Start, memory and images\n"
    yield "| figure | measured | goal |\n|---|---|---|"
    yield f"| `docker compose up` → first 200, images built, {len(times)} times | {starts} s | ≤ {GOAL_START} s |"
    for name, memory in results.memory.items():
        goal = f"≤ {GOAL_MEMORY} MB" if name == "gunicorn" else ""
        yield f"| memory of the idle stack with {name} (PSS: shared pages count once) | {memory:.0f} MB | {goal} |"
    for name, goal in (("web", GOAL_WEB_IMAGE), ("nginx", GOAL_NGINX_IMAGE)):
        yield f"| size of the image {name} | {results.images[name]:.0f} MB | ≤ {goal} MB |"
    yield ""


def _paragraph(text: str) -> str:
    return textwrap.fill(text, 120, break_on_hyphens=False)


def _ratios(results: Results, of: list[goals.Ratio]) -> str:
    return table.markdown_table(table.ratios(list(goals.ratios(results.parts, of)))) + "\n"


def _sections(results: Results, configurations: dict[str, Configuration]) -> Iterator[str]:
    rounds = max((rounds.count() for rounds in results.parts.values()), default=0)
    machine = _paragraph(", ".join(results.machine.values()) + ".")
    yield INTRODUCTION.format(machine=machine, rounds=rounds, clients=measure.CLIENTS, seconds=results.seconds)
    if missing := [
        part for part in PARTS if part not in results.parts and not (part == "overload" and results.overload)
    ]:
        yield f"Not measured in this run: {', '.join(missing)}.\n"
    if "comparison" in results.parts:
        yield from _comparison(results, configurations)
    if "ablation" in results.parts:
        yield from _ablation(results, configurations)
    if "latency" in results.parts:
        yield from _latency(results, configurations)
    if results.overload:
        yield from _overload(results, configurations)
    if results.start_times:
        yield from _footprint(results)


def _plots(results: Results, configurations: dict[str, Configuration]) -> Iterator[tuple[str, str]]:
    """The name and the SVG of each plot."""
    if comparison := results.parts.get("comparison"):
        bars = [
            plot.Bar(configuration.title, cpu.median, cpu.low, cpu.high, COLOURS[configuration.kind])
            for configuration in configurations.values()
            if configuration.kind in PARTS["comparison"]
            and (cpu := comparison.figure(configuration.name, comparison.workloads()[0], "cpu"))
        ]
        if bars:
            yield "json", plot.bar_chart("CPU per request, all containers together (less is better)", "µs", bars)
    for workload, by_configuration in results.overload.items():
        series = {
            configurations[name].title: [(point.at, point.rate) for point in points]
            for name, points in by_configuration.items()
        }
        title = f"Responses per second under offered load: {workload}"
        yield f"overload-{workload}", plot.line_chart(title, "× capacity", "responses/s", series)


def write(file: Path, results: Results, configurations: dict[str, Configuration]) -> None:
    """Write the page, and its plots into a folder next to it with the page's name. What is written by hand is kept."""
    _, heading, by_hand = (file.read_text() if file.exists() else "").partition(WRITTEN_BY_HAND)
    file.write_text(
        "\n".join(_sections(results, configurations)).rstrip("\n") + "\n" + (f"\n{heading}{by_hand}" if heading else "")
    )
    folder = file.with_suffix("")
    folder.mkdir(exist_ok=True)
    for name, svg in _plots(results, configurations):
        (folder / f"{name}.svg").write_text(svg)
