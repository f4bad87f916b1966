"""Ratios between configurations, and the goal of each.

Both figures of a ratio come from the same run, so a ratio also holds on a busy machine.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from bench.measure import Rounds

MARGIN = 0.15  # --check fails when a ratio is worse than the baseline by more than this share


@dataclass(frozen=True)
class Ratio:
    """A figure of one configuration and workload, divided by the same figure of another."""

    name: str
    figure: str  # a field of Round
    numerator: tuple[str, str]  # configuration, workload
    denominator: tuple[str, str]
    goal: float
    more_is_better: bool = False

    def value(self, rounds: Rounds) -> float | None:
        """The ratio of the medians; None if a side was not measured."""
        numerator = rounds.figure(*self.numerator, self.figure)
        denominator = rounds.figure(*self.denominator, self.figure)
        return numerator.median / denominator.median if numerator and denominator else None

    def meets(self, value: float, limit: float) -> bool:
        """Whether `value` is at least as good as `limit`."""
        return value >= limit if self.more_is_better else value <= limit

    def limit(self, baseline: float) -> float:
        """The worst value that --check accepts."""
        return baseline / (1 + MARGIN) if self.more_is_better else baseline * (1 + MARGIN)

    @property
    def goal_text(self) -> str:
        """The goal with its direction, such as "≤ 0.65"."""
        return f"{'≥' if self.more_is_better else '≤'} {self.goal}"


def _cpu(numerator: str, denominator: str, goal: float, workload: str = "json") -> Ratio:
    name = f"CPU, {workload}: {numerator} ÷ {denominator}"
    return Ratio(name, "cpu", (numerator, workload), (denominator, workload), goal)


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
    """Each ratio that this run measured, with its value."""
    for ratio in RATIOS:
        value = ratio.value(rounds)
        if value is not None:
            yield ratio, value


def regressions(rounds: Rounds, baseline: dict[str, float]) -> list[str]:
    """One sentence for each ratio that is worse than its baseline by more than the margin."""
    compared = [(ratio, value, baseline[ratio.name]) for ratio, value in ratios(rounds) if ratio.name in baseline]
    return [
        f"{ratio.name} is {value:.2f}. Baseline: {before:.2f}, limit: {ratio.limit(before):.2f}."
        for ratio, value, before in compared
        if not ratio.meets(value, ratio.limit(before))
    ]
