"""Ratios between two configurations of one run, with their goals, and the comparison with an earlier run."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from bench.configurations import ABLATIONS
from bench.figures import Interval, Rounds
from deploy.settings import server_names


@dataclass(frozen=True)
class Ratio:
    """A figure of one configuration and workload, divided by the same figure of another in the same round."""

    name: str
    part: str  # of the benchmark
    figure: str
    numerator: tuple[str, str]  # configuration, workload
    denominator: tuple[str, str]
    goal: float | None = None
    more_is_better: bool = False

    def is_worse(self, measured: Interval, baseline: Interval) -> bool:
        """Whether it is worse than in an earlier run by more than the noise of both: the intervals do not overlap."""
        return measured.high < baseline.low if self.more_is_better else measured.low > baseline.high

    @property
    def goal_text(self) -> str:
        """The goal with its direction, such as "≤ 1.1"."""
        return f"{'≥' if self.more_is_better else '≤'} {self.goal:g}" if self.goal else ""


def _cpu(part: str, numerator: str, denominator: str, goal: float | None = None, workload: str = "json") -> Ratio:
    name = f"CPU, {workload}: {numerator} ÷ {denominator}"
    return Ratio(name, part, "cpu", (numerator, workload), (denominator, workload), goal)


def _p99(numerator: str, denominator: str, goal: float | None = None) -> Ratio:
    return Ratio(
        f"p99, json: {numerator} ÷ {denominator}", "latency", "p99", (numerator, "json"), (denominator, "json"), goal
    )


SERVERS = server_names()
OWN_COST = [_cpu("ablation", server, f"{server}-plain", 1.1) for server in SERVERS]
TAIL = [_p99(server, f"{server}-one-thread", 1.5) for server in SERVERS]
REFERENCES = [
    _cpu("comparison", "gunicorn", "nginx-tcp"),
    _cpu("comparison", "uwsgi", "single-container"),
    _cpu("comparison", "mod_wsgi", "mod_wsgi-express"),
    _p99("gunicorn", "nginx-tcp"),
    _p99("uwsgi", "single-container"),
    _p99("mod_wsgi", "mod_wsgi-express"),
    _cpu("ablation", "gunicorn", "copied"),
]
NGINX = [
    _cpu("comparison", "gunicorn", "bare-nginx", 1.02, "static"),
    _cpu("comparison", "gunicorn", "nginx-tcp", None, "cached"),
    Ratio("CPU, gunicorn: cached ÷ static", "comparison", "cpu", ("gunicorn", "cached"), ("gunicorn", "static"), 1.3),
    Ratio(
        "requests/s, gunicorn: cached ÷ timeline",
        "comparison",
        "rate",
        ("gunicorn", "cached"),
        ("gunicorn", "timeline"),
        15,
        more_is_better=True,
    ),
]
ABLATION = [_cpu("ablation", name, "gunicorn") for name, _, _ in ABLATIONS]
RATIOS = [*OWN_COST, *TAIL, *REFERENCES, *NGINX, *ABLATION]


def ratios(parts: Mapping[str, Rounds], of: list[Ratio] = RATIOS) -> Iterator[tuple[Ratio, Interval]]:
    """Each ratio that was measured, with its interval. parts: the rounds of each part of the benchmark."""
    for ratio in of:
        rounds = parts.get(ratio.part)
        interval = rounds and rounds.ratio(ratio.figure, ratio.numerator, ratio.denominator)
        if interval:
            yield ratio, interval


def regressions(parts: Mapping[str, Rounds], baseline: Mapping[str, Interval]) -> list[str]:
    """One sentence for each ratio that is worse than in the baseline by more than the noise of both runs."""
    return [
        f"{ratio.name} is {interval}. Baseline: {baseline[ratio.name]}."
        for ratio, interval in ratios(parts)
        if ratio.name in baseline and ratio.is_worse(interval, baseline[ratio.name])
    ]
