"""The ratios that matter, and how large each may be. Both sides come from one run: a ratio holds on a busy machine."""

from collections.abc import Iterator
from dataclasses import dataclass

from bench.measure import Rounds

MARGIN = 0.15  # how much worse than the kept figure a ratio may be before --check fails


@dataclass(frozen=True)
class Ratio:
    """A figure of one setup, divided by the same figure of another."""

    name: str
    measure: str  # a field of Round
    above: tuple[str, str]  # setup, work
    below: tuple[str, str]
    goal: float
    more_is_better: bool = False

    def of(self, rounds: Rounds) -> float | None:
        """Its value; None if one of the two was not measured."""
        above, below = (rounds.figure(*side, self.measure) for side in (self.above, self.below))
        return above.median / below.median if above and below else None

    def is_kept(self, value: float, limit: float) -> bool:
        """Whether `value` is as good as `limit`, or better."""
        return value >= limit if self.more_is_better else value <= limit

    def worst(self, kept: float) -> float:
        """What --check still takes, where `kept` is the figure of the repository."""
        return kept / (1 + MARGIN) if self.more_is_better else kept * (1 + MARGIN)


def _cpu(above: str, below: str, goal: float, work: str = "json") -> Ratio:
    return Ratio(f"CPU, {work}: {above} ÷ {below}", "cpu", (above, work), (below, work), goal)


RATIOS = (
    _cpu("uwsgi", "single-container", 0.80),
    _cpu("gunicorn", "nginx-tcp", 0.65),
    _cpu("uwsgi", "bare-callable", 5.5),
    _cpu("gunicorn", "bare-callable", 9),
    _cpu("mod_wsgi", "bare-callable", 10),
    _cpu("gunicorn", "bare-nginx", 1.02, "static"),
    Ratio("CPU, gunicorn: cached ÷ static", "cpu", ("gunicorn", "cached"), ("gunicorn", "static"), 1.3),
    Ratio(
        "requests/s, gunicorn: cached ÷ timeline",
        "rate",
        ("gunicorn", "cached"),
        ("gunicorn", "timeline"),
        15,
        more_is_better=True,
    ),
)


def ratios(rounds: Rounds) -> Iterator[tuple[Ratio, float]]:
    """Those that this run has measured."""
    for ratio in RATIOS:
        value = ratio.of(rounds)
        if value is not None:
            yield ratio, value


def worse(rounds: Rounds, kept: dict[str, float]) -> list[str]:
    """A line for each ratio that is beyond the margin, by the figures kept under their names."""
    found = [(ratio, value, kept[ratio.name]) for ratio, value in ratios(rounds) if ratio.name in kept]
    return [
        f"{ratio.name} is {value:.2f}; kept is {was:.2f}, and {ratio.worst(was):.2f} is the limit"
        for ratio, value, was in found
        if not ratio.is_kept(value, ratio.worst(was))
    ]
