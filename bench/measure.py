"""Rounds of load on every setup in turn, so that whatever else the machine does hits all of them alike."""

import os
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from bench import load, meter
from bench.docker import docker
from bench.setups import Setup, Work
from cli.console import Step

CLIENTS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
OFFERED = (0.5, 0.75, 1, 1.5, 2, 3, 4)  # × capacity


@dataclass(frozen=True)
class Spread:
    """A figure's median over the rounds, and the lowest and highest."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: list[float]) -> "Spread":
        return cls(statistics.median(values), min(values), max(values))


@dataclass
class Round:
    """One setup at one kind of work for a second or two. cpu in µs a request, times in ms, rate in answers a second."""

    cpu: float
    rate: float | None  # these three: None where there is no server
    p50: float | None
    p99: float | None
    requests: int
    errors: int


class Rounds:
    """All rounds so far, by setup and work. One with errors is counted and not used."""

    def __init__(self) -> None:
        self._all: dict[tuple[str, str], list[Round]] = defaultdict(list)

    def add(self, setup: Setup, work: Work, seen: Round) -> None:
        self._all[setup.name, work.name].append(seen)

    def figure(self, setup: str, work: str, name: str) -> Spread | None:
        """Round's field `name` over the valid rounds; None if there is none."""
        valid = [getattr(one, name) for one in self._all.get((setup, work), ()) if not one.errors]
        values = [value for value in valid if value is not None]
        return Spread.of(values) if values else None

    def errors(self, setup: str, work: str) -> int:
        return sum(one.errors for one in self._all.get((setup, work), ()))

    def as_json(self) -> dict[str, Any]:
        """{setup: {work: [round, …]}}"""
        shown: dict[str, Any] = defaultdict(dict)
        for (setup, work), rounds in self._all.items():
            shown[setup][work] = [asdict(one) for one in rounds]
        return dict(shown)


def measure(setups: list[Setup], works: list[Work], rounds: int, seconds: int) -> Rounds:
    """Asks every setup for every kind of work, `rounds` times, for `seconds` each."""
    found, step = Rounds(), Step("measuring")
    for number in range(rounds):
        for work in works:
            for setup in setups:
                if setup.does(work):
                    step.tick(f"round {number + 1} of {rounds}: {work.name}, {setup.title}")
                    found.add(setup, work, _round(setup, work, seconds))
    step.end()
    return found


def _round(setup: Setup, work: Work, seconds: int) -> Round:
    if setup.name == "bare-callable":
        return _bare_round(setup, work, seconds)
    before = meter.cpu(setup.containers)
    seen = load.closed(setup.url, work, seconds)
    used = meter.cpu(setup.containers) - before
    return Round(used / 1000 / max(seen.requests, 1), seen.rate, seen.p50, seen.p99, seen.requests, seen.errors)


def _bare_round(setup: Setup, work: Work, seconds: int) -> Round:
    """CPU alone: there is nobody who asks."""
    printed = docker("exec", setup.containers[0], "python3", "/others/bare.py", work.path, str(seconds)).stdout
    return Round(float(printed.splitlines()[-1]), None, None, None, 0, 0)


@dataclass(frozen=True)
class Point:
    """One point of a load curve. `at` is a number of clients, or a multiple of the capacity."""

    at: float
    rate: float
    p99: float  # ms, of the answers that are 200
    refused: int
    failed: int


def by_clients(setup: Setup, work: Work, seconds: int) -> Iterator[Point]:
    """From one client to 512, each asking again as soon as it has its answer."""
    for clients in CLIENTS:
        seen = load.closed(setup.url, work, seconds, clients)
        yield Point(clients, seen.rate, seen.p99, 0, seen.errors)


def by_offer(setup: Setup, work: Work, capacity: float, seconds: int) -> Iterator[Point]:
    """At multiples of `capacity`, a rate in answers a second, from clients that come whether or not there is room."""
    for multiple in OFFERED:
        answers = load.offered(setup.url, work.path, multiple * capacity, seconds)
        good = sorted(one.seconds * 1000 for one in answers if one.status == 200)
        last = max(one.seconds for one in answers)
        p99 = good[int(len(good) * 0.99)] if good else 0.0
        refused = sum(one.status == 503 for one in answers)
        yield Point(multiple, len(good) / (seconds + last), p99, refused, len(answers) - len(good) - refused)


def curves(setups: list[Setup], curve: Callable[[Setup], Iterator[Point]], title: str) -> dict[str, list[Point]]:
    """One curve of each setup, with progress."""
    step, found = Step(title), {}
    for setup in setups:
        found[setup.name] = []
        for point in curve(setup):
            step.tick(f"{setup.title}: {point.at:g}")
            found[setup.name].append(point)
    step.end()
    return found


def first_answer(setup: Setup, path: str) -> float:
    """Seconds from `docker compose up`, nothing of it there, to the first 200."""
    began = time.monotonic()
    try:
        setup.up()
        setup.await_answer(path)
        return time.monotonic() - began
    finally:
        setup.down()


def image_sizes() -> dict[str, float]:
    """MB of the two images that a host runs."""
    tag = os.environ.get("IMAGE_TAG") or "latest"
    return {
        name: int(docker("image", "inspect", "--format", "{{.Size}}", f"tripod-{name}:{tag}").stdout) / 1e6
        for name in ("web", "nginx")
    }
