"""Write the results of one run as JSON, and as docs/explanation/performance.md with its plots."""

import textwrap
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench import goals, plot, table
from bench.configurations import Configuration, Workload
from bench.measure import Point, Rounds

GOAL_START = 3  # seconds
GOAL_MEMORY = 160  # MB
GOAL_WEB_IMAGE, GOAL_NGINX_IMAGE = 250, 150  # MB
COLOURS = {"stack": 0, "reference": 1, "bound": 6}  # by kind of configuration: indexes of plot.COLOURS

TEXT = """# Performance

`./stack bench --page docs/explanation/performance.md` writes this page from a new measurement, which takes about twelve
minutes, and keeps the section [Tuning](#tuning) and what follows it. `./stack bench --quick` takes two minutes;
`./stack bench --app module:callable` measures your own app.

{machine}

## How to read the figures

- **CPU µs** is the CPU time per request: the time that the cgroups of all containers of a configuration count, Nginx
  included, divided by the number of requests in the round. This is the figure to compare, because it hardly depends on
  other activity on the machine. Requests/s and latency depend on it, and on the load generator (wrk), which runs on the
  same CPUs.
- Each figure is the median of {rounds} rounds of one second, with 16 clients on keep-alive connections. The lowest and
  the highest round are in parentheses. Every round measures all configurations in turn, so that other activity on the
  machine affects all of them alike.
- A round with an error (a response other than 2xx, or a broken connection) does not count. The column *errors* is the
  number of errors in all rounds.
- The load generator runs outside the containers and connects to the address of the container. Docker's proxy for
  published ports is not measured.
- *MB* is the memory of all processes before any load, as proportional set size (PSS): shared pages count once.

Three kinds of configurations are measured:

- *Tripod* is this repository with its defaults, with each WSGI server, and once with Gunicorn's sync worker.
- The next four are common reference configurations (`bench/reference`), written for this benchmark, with the same base
  image and the same packages.
- The last two are lower bounds: an Nginx that only serves files or cached responses, and the WSGI callable called in
  process, without any server.

## CPU per request

![CPU of a JSON request](performance/json.svg)

{overview}

## Requests/s and latency

{rates}

{workloads}

## Goals

Both figures of a ratio come from this run. `./stack bench --check bench/baseline.json` compares the ratios of a new run
with the stored ones.

| ratio | measured | goal |
|---|---|---|
{ratios}

| figure | measured | goal |
|---|---|---|
{figures}

## Behaviour under load

A closed loop: 1 to 512 clients request JSON, and each sends its next request as soon as it has the previous response.

![Requests per second by number of clients](performance/clients.svg)

![p99 latency by number of clients](performance/clients-p99.svg)

An open loop: new connections arrive at a fixed rate, whether or not earlier requests have been answered. Each sends one
request to the view that sleeps for 50 ms. The capacity (1 ×) is the rate that the configuration serves with 16 clients.
Above it, requests wait in the queue or are refused with 503.

![Responses per second by offered load](performance/offered.svg)

{offered}
"""

TUNING = "## Tuning\n"  # written by hand, like what follows it


@dataclass
class Result:
    """All results of one run."""

    machine: dict[str, str]
    configurations: list[Configuration]
    workloads: list[Workload]
    rounds: Rounds
    memory: dict[str, float]  # MB by configuration
    by_clients: dict[str, list[Point]]
    by_offered_load: dict[str, list[Point]]
    start_times: list[float]  # seconds
    images: dict[str, float]  # MB

    def as_json(self) -> dict[str, Any]:
        """What --json writes. --check reads the ratios."""
        curves = {"clients": self.by_clients, "offered": self.by_offered_load}
        return {
            "machine": self.machine,
            "ratios": {ratio.name: round(value, 3) for ratio, value in goals.ratios(self.rounds)},
            "memory": self.memory,
            "images": self.images,
            "first": self.start_times,
            "curves": {
                curve: {name: [asdict(point) for point in points] for name, points in by_configuration.items()}
                for curve, by_configuration in curves.items()
            },
            "rounds": self.rounds.as_json(),
        }

    @property
    def titles(self) -> dict[str, str]:
        """The configurations' titles by name."""
        return {configuration.name: configuration.title for configuration in self.configurations}


def _machine(result: Result) -> str:
    return textwrap.fill(", ".join(result.machine.values()) + ".", 120, break_on_hyphens=False)


def _ratios(result: Result) -> str:
    return "\n".join(
        f"| {ratio.name} | {value:.2f} | {ratio.goal_text} |" for ratio, value in goals.ratios(result.rounds)
    )


def _figures(result: Result) -> str:
    starts = ", ".join(f"{seconds:.1f}" for seconds in result.start_times)
    memory, images = result.memory.get("gunicorn", 0), result.images
    return "\n".join(
        (
            f"| `docker compose up` → first 200, images built, {len(result.start_times)} times | {starts} s "
            f"| ≤ {GOAL_START} s |",
            f"| memory of the idle default stack (PSS) | {memory:.0f} MB | ≤ {GOAL_MEMORY} MB |",
            f"| size of the image web | {images['web']:.0f} MB | ≤ {GOAL_WEB_IMAGE} MB |",
            f"| size of the image nginx | {images['nginx']:.0f} MB | ≤ {GOAL_NGINX_IMAGE} MB |",
        )
    )


def _offered_load(result: Result) -> str:
    """The table below the plot of the open loop; empty if it was not measured."""
    rows = [["× capacity", *(result.titles[name] for name in result.by_offered_load)]]
    for points in zip(*result.by_offered_load.values(), strict=False):
        cells = [
            f"{point.rate:.0f}/s, p99 {point.p99:.0f} ms, {point.refused} refused, {point.failed} failed"
            for point in points
        ]
        rows.append([f"{points[0].at:g}", *cells])
    return table.markdown_table(rows) if len(rows) > 1 else ""


def _plots(result: Result) -> dict[str, str]:
    """The SVG of each plot by file name."""
    bars = []
    for configuration in result.configurations:
        cpu = result.rounds.figure(configuration.name, "json", "cpu")
        if cpu:
            colour = COLOURS[configuration.kind]
            bars.append(plot.Bar(configuration.title, cpu.median, cpu.low, cpu.high, colour))

    def series(curves: dict[str, list[Point]], field: str) -> plot.Series:
        return {
            result.titles[name]: [(point.at, getattr(point, field)) for point in points]
            for name, points in curves.items()
        }

    rate, p99 = series(result.by_clients, "rate"), series(result.by_clients, "p99")
    offered = series(result.by_offered_load, "rate")
    return {
        "json": plot.bar_chart("CPU of a JSON request, all containers together (less is better)", "µs", bars),
        "clients": plot.line_chart("JSON requests per second", "clients", "requests/s", rate),
        "clients-p99": plot.line_chart("p99 latency of JSON requests", "clients", "ms", p99, log_y=True),
        "offered": plot.line_chart("Responses per second under offered load", "× capacity", "responses/s", offered),
    }


def write(file: Path, result: Result) -> None:
    """Write the page, and its plots into a folder next to it with the page's name. What is written by hand is kept."""
    rounds = max(len(measured) for by_workload in result.rounds.as_json().values() for measured in by_workload.values())
    overview = table.overview(result.configurations, result.workloads, result.rounds, result.memory)
    rates = table.rates(result.configurations, result.workloads, result.rounds)
    _, heading, tuning = (file.read_text() if file.exists() else "").partition(TUNING)
    text = TEXT.format(
        machine=_machine(result),
        rounds=rounds,
        overview=table.markdown_table(overview),
        rates=table.markdown_table(rates),
        workloads="\n".join(f"- *{workload.name}*: {workload.meaning}" for workload in result.workloads),
        ratios=_ratios(result),
        figures=_figures(result),
        offered=_offered_load(result),
    )
    file.write_text(f"{text}\n{heading}{tuning}" if heading else text)
    folder = file.with_suffix("")
    folder.mkdir(exist_ok=True)
    for name, svg in _plots(result).items():
        (folder / f"{name}.svg").write_text(svg)
