"""Tables: for a terminal with --quick, for Markdown in docs/explanation/performance.md."""

from bench.measure import Rounds, Spread
from bench.setups import Setup, Work


def micro(cpu: Spread | None) -> str:
    """A median of µs with its spread."""
    return f"{cpu.median:.0f} ({cpu.low:.0f}–{cpu.high:.0f})" if cpu else "–"


def _wide(text: str, width: int) -> str:
    return text + " " * (width - len(text))


def plain(rows: list[list[str]]) -> str:
    """Columns under one another; the first row is the head."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(map(_wide, row, widths)).rstrip() for row in rows]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])


def markdown(rows: list[list[str]]) -> str:
    """The same as Markdown."""
    head, *others = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([head, "|" + "---|" * len(rows[0]), *others])


def overview(setups: list[Setup], works: list[Work], rounds: Rounds, memory: dict[str, float]) -> list[list[str]]:
    """A line for each setup: CPU of each kind of work; requests/s and p99 of the first; memory and errors."""
    first = works[0]
    rows = [["", *(f"{work.name}, CPU µs" for work in works), f"{first.name}/s", "p50 ms", "p99 ms", "MB", "errors"]]
    for setup in setups:
        rate, p50, p99 = (rounds.figure(setup.name, first.name, name) for name in ("rate", "p50", "p99"))
        served = [f"{rate.median:.0f}", f"{p50.median:.1f}", f"{p99.median:.1f}"] if rate else ["–"] * 3
        cpu = [micro(rounds.figure(setup.name, work.name, "cpu")) for work in works]
        used = f"{memory[setup.name]:.0f}" if setup.name in memory else "–"
        errors = sum(rounds.errors(setup.name, work.name) for work in works)
        rows.append([setup.title, *cpu, *served, used, str(errors)])
    return rows


def all_rates(setups: list[Setup], works: list[Work], rounds: Rounds) -> list[list[str]]:
    """Requests/s, p50 and p99 of every kind of work."""
    rows = [["requests/s (p50, p99 in ms)", *(work.name for work in works)]]
    for setup in setups:
        cells = []
        for work in works:
            rate, p50, p99 = (rounds.figure(setup.name, work.name, name) for name in ("rate", "p50", "p99"))
            cells.append(f"{rate.median:.0f} ({p50.median:.1f}, {p99.median:.1f})" if rate else "–")
        rows.append([setup.title, *cells])
    return rows
