"""A run's result: as JSON, and as docs/explanation/performance.md with its plots."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench import goals, plot, table
from bench.measure import Point, Rounds
from bench.setups import Setup, Work

GOAL_FIRST, GOAL_MEMORY, GOAL_WEB, GOAL_NGINX = 3, 160, 250, 150  # s, MB, MB, MB
KINDS = {"stack": 0, "copied": 1, "limit": 6}  # colours

TEXT = """# Performance

Written by `./stack bench --page docs/explanation/performance.md`; repeat it on your own machine, it takes some twelve minutes.
`./stack bench --quick` takes two, and `--app module:callable` asks your own app.

{machine}

## How to read it

- **CPU µs a request** is what the cgroups of all containers of a setup have counted, Nginx included, divided by the
  requests of the round. It is the figure to compare: it hardly depends on what else the machine does. Requests/s and
  times do, and the load generator (wrk) works on the same CPUs.
- Each cell is the median of {rounds} rounds of one second, 16 clients that keep their connections; in brackets the
  lowest and the highest round. In each round every setup has its turn, so that whatever else goes on hits all alike.
- A round with an error (an answer that is not 2xx, a broken connection) is not used; the last column counts errors.
- The load comes from outside of the containers, to the container's own address: Docker's proxy for published ports is
  not part of it.
- *MB* is the memory of all processes before any load, shared pages counted once (PSS).

The setups called "this stack" are the repository as it is, with its defaults. The next four are what people copy, each
in our own words on the same base image and packages (`bench/others`). The last two are limits: an Nginx that only
serves a file or its cache, and the WSGI callable called in process, without any server.

## CPU

![CPU of a JSON request](performance/json.svg)

{overview}

## Requests/s and times

{rates}

{work}

## Ratios

Both sides from this run. `./stack bench --check bench/kept.json` compares them with the kept ones.

| ratio | here | goal |
|---|---|---|
{ratios}

| what | here | goal |
|---|---|---|
{figures}

## Load

From one client to 512, each asking for JSON again as soon as it has its answer:

![Requests a second by clients](performance/clients.svg)

![p99 by clients](performance/clients-p99.svg)

New connections at a given rate, whether or not earlier ones are answered, to the view that waits 50 ms. 1 is what the
setup could serve with 16 clients; beyond it some must wait or be refused.

![Answers by offered load](performance/offered.svg)

{offered}
"""


@dataclass
class Result:
    """Everything that one run has found out."""

    machine: dict[str, str]
    setups: list[Setup]
    works: list[Work]
    rounds: Rounds
    memory: dict[str, float]  # MB by setup
    by_clients: dict[str, list[Point]]
    by_offer: dict[str, list[Point]]
    first: list[float]  # seconds
    images: dict[str, float]  # MB

    def as_json(self) -> dict[str, Any]:
        """What --json writes, and --check reads the ratios of."""
        curves = {"clients": self.by_clients, "offered": self.by_offer}
        return {
            "machine": self.machine,
            "ratios": {ratio.name: round(value, 3) for ratio, value in goals.ratios(self.rounds)},
            "memory": self.memory,
            "images": self.images,
            "first": self.first,
            "curves": {
                name: {one: [asdict(point) for point in points] for one, points in curve.items()}
                for name, curve in curves.items()
            },
            "rounds": self.rounds.as_json(),
        }


def _machine(result: Result) -> str:
    return ", ".join(result.machine.values()) + "."


def _ratios(result: Result) -> str:
    return "\n".join(
        f"| {ratio.name} | {value:.2f} | {'≥' if ratio.more_is_better else '≤'} {ratio.goal} |"
        for ratio, value in goals.ratios(result.rounds)
    )


def _figures(result: Result) -> str:
    first = ", ".join(f"{seconds:.1f}" for seconds in result.first)
    return "\n".join(
        (
            f"| `docker compose up` → first 200, {len(result.first)} times | {first} s | ≤ {GOAL_FIRST} s |",
            f"| idle memory, PSS | {result.memory.get('gunicorn', 0):.0f} MB | ≤ {GOAL_MEMORY} MB |",
            f"| the image web | {result.images['web']:.0f} MB | ≤ {GOAL_WEB} MB |",
            f"| the image nginx | {result.images['nginx']:.0f} MB | ≤ {GOAL_NGINX} MB |",
        )
    )


def _offered(result: Result, titles: dict[str, str]) -> str:
    rows = [["× what it can serve", *(titles[name] for name in result.by_offer)]]
    columns = list(result.by_offer.values())
    for points in zip(*columns, strict=False):
        cells = [
            f"{one.rate:.0f}/s, p99 {one.p99:.0f} ms, {one.refused} refused, {one.failed} failed" for one in points
        ]
        rows.append([f"{points[0].at:g}", *cells])
    return table.markdown(rows) if len(rows) > 1 else ""


def _plots(result: Result, titles: dict[str, str]) -> dict[str, str]:
    figures = [(one, result.rounds.figure(one.name, "json", "cpu")) for one in result.setups]
    bars = [plot.Bar(one.title, cpu.median, cpu.low, cpu.high, KINDS[one.kind]) for one, cpu in figures if cpu]

    def lines(title, x_name, y_name, curves, field, **how):
        series = {titles[name]: [(one.at, getattr(one, field)) for one in points] for name, points in curves.items()}
        return plot.lines(title, x_name, y_name, series, **how)

    return {
        "json": plot.bars("CPU of a JSON request, all containers together; less is better", "µs", bars),
        "clients": lines("JSON requests a second", "clients", "requests/s", result.by_clients, "rate"),
        "clients-p99": lines("p99 of JSON requests", "clients", "ms", result.by_clients, "p99", log_y=True),
        "offered": lines(
            "Answers a second under offered load", "× what it can serve", "answers/s", result.by_offer, "rate"
        ),
    }


def write(file: Path, result: Result) -> None:
    """Writes the page, and its plots into a folder of the same name beside it."""
    titles = {one.name: one.title for one in result.setups}
    rounds = max(len(one) for works in result.rounds.as_json().values() for one in works.values())
    file.write_text(
        TEXT.format(
            machine=_machine(result),
            rounds=rounds,
            overview=table.markdown(table.overview(result.setups, result.works, result.rounds, result.memory)),
            rates=table.markdown(table.all_rates(result.setups, result.works, result.rounds)),
            work="\n".join(f"- *{one.name}*: {one.meaning}" for one in result.works),
            ratios=_ratios(result),
            figures=_figures(result),
            offered=_offered(result, titles),
        )
    )
    folder = file.with_suffix("")
    folder.mkdir(exist_ok=True)
    for name, svg in _plots(result, titles).items():
        (folder / f"{name}.svg").write_text(svg)
