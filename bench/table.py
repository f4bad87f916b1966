"""Tables of results, as text for the terminal and as Markdown for docs/explanation/performance.md."""

from collections.abc import Sequence

from bench.configurations import Configuration
from bench.figures import Rounds
from bench.goals import Ratio
from bench.measure import Point

NOT_MEASURED = "–"
Rows = list[list[str]]


def text_table(rows: Rows) -> str:
    """Aligned columns. The first row is the header."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])


def markdown_table(rows: Rows) -> str:
    """A Markdown table. The first row is the header."""
    header, *others = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([header, "|" + "---|" * len(rows[0]), *others])


def figures(
    configurations: Sequence[Configuration], rounds: Rounds, workloads: Sequence[str], names: Sequence[str]
) -> Rows:
    """One row per measured configuration: each figure of each workload, and the errors."""
    columns = [(workload, name) for workload in workloads for name in names]
    rows = [["", *(f"{workload}, {UNITS[name]}" for workload, name in columns), "errors"]]
    for configuration in configurations:
        if configuration.name in rounds.values:
            cells = [rounds.figure(configuration.name, workload, name) for workload, name in columns]
            errors = sum(rounds.errors(configuration.name, workload) for workload in workloads)
            rows.append([configuration.title, *(str(cell or NOT_MEASURED) for cell in cells), str(errors)])
    return rows


UNITS = {"cpu": "CPU µs", "rate": "requests/s", "p50": "p50 ms", "p99": "p99 ms"}


def ratios(measured: Sequence[tuple[Ratio, object]]) -> Rows:
    """One row per ratio."""
    rows = [[ratio.name, str(interval), ratio.goal_text] for ratio, interval in measured]
    return [["ratio", "median (95 % interval)", "goal"], *rows]


def overload(titles: dict[str, str], by_configuration: dict[str, list[Point]]) -> Rows:
    """One row per offered load."""
    rows = [["× capacity", *(titles[name] for name in by_configuration)]]
    for points in zip(*by_configuration.values(), strict=True):
        cells = [f"{p.rate:.0f}/s, p99 {p.p99:.0f} ms, {p.refused} refused, {p.failed} failed" for p in points]
        rows.append([f"{points[0].at:g}", *cells])
    return rows
