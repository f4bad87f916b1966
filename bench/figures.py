"""Figures over several rounds: the median with a 95 % interval, and ratios of paired rounds."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

CONFIDENCE = 0.95
MAX_ERRORS = 0.001  # of the requests of a round
MIN_ROUNDS = 6  # with fewer, not even lowest and highest value contain the median with this confidence
ROUNDS = MIN_ROUNDS + 1  # the default: one may be lost


@dataclass(frozen=True)
class Interval:
    """The median of a figure, and the interval that contains the true median with a confidence of 95 %.

    The bounds are values of the sample, at equal distance from its ends (order statistics). This assumes nothing about
    the distribution except that the values are independent.
    """

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Interval":
        """The interval of these values. Raises ValueError for fewer than MIN_ROUNDS."""
        if len(values) < MIN_ROUNDS:
            raise ValueError(f"{len(values)} values are too few")
        ranked, outside = sorted(values), _values_outside(len(values))
        return cls(statistics.median(ranked), ranked[outside], ranked[-1 - outside])

    def __str__(self) -> str:
        digits = 2 if self.median < 10 else 1 if self.median < 20 else 0
        return f"{self.median:.{digits}f} ({self.low:.{digits}f}–{self.high:.{digits}f})"


def _values_outside(count: int) -> int:
    """How many values may lie outside of the interval at each end: the median exceeds k values as often as k heads."""
    tail, outside = 0.0, 0
    while True:
        tail += math.comb(count, outside) / 2**count
        if 2 * tail > 1 - CONFIDENCE:
            return outside - 1
        outside += 1


class Rounds:
    """The figures of all rounds, by configuration and workload. Rounds with more than MAX_ERRORS, or without a request
    because the machine stalled, are not used.

    The rounds of all configurations take turns: values of the same round belong together.
    """

    def __init__(self, values: dict[str, dict[str, dict[str, list[float]]]] | None = None) -> None:
        self.values = values if values is not None else {}  # configuration → workload → figure → value of each round

    def add(self, configuration: str, workload: str, figures: dict[str, float]) -> None:
        """Add a round. Two of its figures are the numbers of "requests" and "errors"."""
        by_figure = self.values.setdefault(configuration, {}).setdefault(workload, {})
        for name, value in figures.items():
            by_figure.setdefault(name, []).append(round(value, 3))

    def _of(self, configuration: str, workload: str) -> dict[str, list[float]]:
        return self.values.get(configuration, {}).get(workload, {})

    def _usable(self, configuration: str, workload: str, figure: str) -> dict[int, float]:
        """The values by number of the round."""
        figures = self._of(configuration, workload)
        names = (figure, "requests", "errors")
        rounds = zip(*(figures.get(name, []) for name in names), strict=False)
        return {
            number: value
            for number, (value, requests, errors) in enumerate(rounds)
            if requests and errors <= MAX_ERRORS * requests
        }

    def figure(self, configuration: str, workload: str, figure: str) -> Interval | None:
        """The interval of a figure; None if too few rounds can be used."""
        return _interval(list(self._usable(configuration, workload, figure).values()))

    def ratio(self, figure: str, numerator: tuple[str, str], denominator: tuple[str, str]) -> Interval | None:
        """The interval of the ratios of paired rounds. The sides are a configuration and a workload each."""
        above, below = self._usable(*numerator, figure), self._usable(*denominator, figure)
        return _interval([value / below[number] for number, value in above.items() if number in below])

    def errors(self, configuration: str, workload: str) -> int:
        """The number of errors in all rounds."""
        return round(sum(self._of(configuration, workload).get("errors", [])))

    def count(self) -> int:
        """The number of rounds."""
        lengths = [len(f["errors"]) for by_workload in self.values.values() for f in by_workload.values()]
        return max(lengths, default=0)

    def workloads(self) -> list[str]:
        """The workloads that were measured."""
        return list(dict.fromkeys(name for by_workload in self.values.values() for name in by_workload))


def _interval(values: list[Any]) -> Interval | None:
    return Interval.of(values) if len(values) >= MIN_ROUNDS else None
