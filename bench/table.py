"""Tables of results, as text for the terminal and as Markdown for docs/explanation/performance.md."""

from bench.configurations import Configuration, Workload
from bench.measure import Rounds, Spread

NOT_MEASURED = "–"


def text_table(rows: list[list[str]]) -> str:
    """Aligned columns. The first row is the header."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])


def markdown_table(rows: list[list[str]]) -> str:
    """A Markdown table. The first row is the header."""
    header, *others = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([header, "|" + "---|" * len(rows[0]), *others])


def _spread(figure: Spread | None) -> str:
    return f"{figure.median:.0f} ({figure.low:.0f}–{figure.high:.0f})" if figure else NOT_MEASURED


def overview(
    configurations: list[Configuration], workloads: list[Workload], rounds: Rounds, memory: dict[str, float]
) -> list[list[str]]:
    """One row per configuration: CPU per request of each workload; rate and latency of the first; memory; errors."""
    first = workloads[0].name
    columns = [f"{workload.name}, CPU µs" for workload in workloads]
    rows = [["", *columns, f"{first}, requests/s", f"{first}, p50 ms", f"{first}, p99 ms", "MB", "errors"]]
    for configuration in configurations:
        name = configuration.name
        cpu = [_spread(rounds.figure(name, workload.name, "cpu")) for workload in workloads]
        rate, p50, p99 = (rounds.figure(name, first, field) for field in ("rate", "p50", "p99"))
        served = [f"{rate.median:.0f}", f"{p50.median:.1f}", f"{p99.median:.1f}"] if rate else [NOT_MEASURED] * 3
        used = f"{memory[name]:.0f}" if name in memory else NOT_MEASURED
        errors = sum(rounds.errors(name, workload.name) for workload in workloads)
        rows.append([configuration.title, *cpu, *served, used, str(errors)])
    return rows


def rates(configurations: list[Configuration], workloads: list[Workload], rounds: Rounds) -> list[list[str]]:
    """One row per configuration: requests/s, p50 and p99 of each workload."""
    rows = [["requests/s (p50, p99 in ms)", *(workload.name for workload in workloads)]]
    for configuration in configurations:
        cells = []
        for workload in workloads:
            fields = ("rate", "p50", "p99")
            rate, p50, p99 = (rounds.figure(configuration.name, workload.name, field) for field in fields)
            cells.append(f"{rate.median:.0f} ({p50.median:.1f}, {p99.median:.1f})" if rate else NOT_MEASURED)
        rows.append([configuration.title, *cells])
    return rows
