"""./stack bench: medians, intervals and ratios of several rounds."""

import random
import statistics

import pytest

from bench.figures import MIN_ROUNDS, Interval, Rounds
from bench.measure import Point
from bench.open_loop import Response, percentile

A, B = ("a", "json"), ("b", "json")


def rounds_of(a: list[float], b: list[float], errors: int = 0) -> Rounds:
    """Rounds of two configurations; the last one of `a` has errors in 1,000 requests."""
    rounds = Rounds()
    for number, (of_a, of_b) in enumerate(zip(a, b, strict=True)):
        has_errors = errors if number == len(a) - 1 else 0
        rounds.add(*A, {"cpu": of_a, "requests": 1000, "errors": has_errors})
        rounds.add(*B, {"cpu": of_b, "requests": 1000, "errors": 0})
    return rounds


@pytest.mark.parametrize("count, outside", [(6, 0), (8, 0), (9, 1), (11, 1), (12, 2), (20, 5), (100, 39)])
def test_interval_is_that_of_the_order_statistics(count, outside):
    """The interval leaves out as many values at each end as the tables of the sign test do."""
    values = random.Random(1).sample(range(count), count)
    assert Interval.of(values) == Interval(statistics.median(values), outside, count - 1 - outside)


@pytest.mark.parametrize("count", [6, 7, 9, 15])
def test_interval_contains_the_true_median(count):
    """Of 2,000 intervals of a skewed distribution at least 94 % contain its median, and some do not."""
    chance, true_median = random.Random(7), 2**0.5
    intervals = [Interval.of([chance.paretovariate(2) for _ in range(count)]) for _ in range(2000)]
    assert sum(interval.low <= true_median <= interval.high for interval in intervals) >= 0.94 * 2000
    assert any(interval.high < true_median for interval in intervals)


def test_too_few_rounds_have_no_interval():
    """Without at least 6 rounds there is no figure, rather than one that looks certain."""
    assert rounds_of([1.0] * 5, [1.0] * 5).figure(*A, "cpu") is None
    with pytest.raises(ValueError):
        Interval.of([1.0] * (MIN_ROUNDS - 1))


def test_ratio_compares_paired_rounds():
    """A ratio is the median of the ratios of each round: what slows both sides of a round down does not widen it."""
    a, b = [100.0, 200.0, 100.0, 400.0, 100.0, 100.0], [50.0, 100.0, 50.0, 200.0, 50.0, 50.0]
    assert rounds_of(a, b).ratio("cpu", A, B) == Interval(2.0, 2.0, 2.0)
    assert rounds_of(a, b).figure(*A, "cpu") == Interval(100.0, 100.0, 400.0)


@pytest.mark.parametrize("errors, is_used", [(0, True), (1, True), (2, False)])
def test_round_with_errors_is_counted_but_not_used(errors, is_used):
    """A round with more than one error in 1,000 requests does not contribute, nor does its pair. Its errors count."""
    rounds = rounds_of([1.0] * 6 + [9.0], [1.0] * 7, errors)
    assert (rounds.figure(*A, "cpu").high == 9.0) is is_used
    assert (rounds.ratio("cpu", A, B).high == 9.0) is is_used
    assert rounds.errors(*A) == errors


def test_round_without_requests_is_not_used():
    """A round in which the machine stalled, so that no request was counted, does not contribute."""
    rounds = rounds_of([1.0] * 6, [1.0] * 6)
    rounds.add(*A, {"cpu": 6000.0, "requests": 0, "errors": 0})
    assert rounds.figure(*A, "cpu") == Interval(1.0, 1.0, 1.0)


def test_rate_counts_the_responses_during_the_load():
    """The rate of an open loop counts what was served during the load, without the first second and the rest after."""
    due = [0.0, 0.9, 1.0, 2.0, 2.9]
    responses = [Response("/", time, 0, latency=0.2, status=200) for time in due] + [Response("/", 2, 0, 0.1, 503)]
    assert Point.of(1, responses, 3) == Point(1, 1.5, 200.0, 1, 0)


def test_percentile_is_a_measured_value():
    """The 99th percentile of 1,000 values is the 990th."""
    values = random.Random(1).sample(range(1, 1001), 1000)
    assert [percentile(values, percent) for percent in (50, 99, 100)] == [500, 990, 1000]
    assert percentile([7.0], 99) == 7.0 and percentile([], 99) == 0.0
