"""Measure all configurations in turn, so that other activity on the machine affects all of them alike."""

import os
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from bench import load, meter
from bench.open_loop import Target, open_loop, percentile
from bench.configurations import Configuration, Workload
from bench.docker import docker
from cli.console import Step

CLIENTS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
OFFERED = (0.5, 0.75, 1, 1.5, 2, 3, 4)  # × capacity


@dataclass(frozen=True)
class Spread:
    """The median, the lowest and the highest value of a figure over the rounds."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: list[float]) -> "Spread":
        """The spread of these values."""
        return cls(statistics.median(values), min(values), max(values))


@dataclass
class Round:
    """One configuration under one workload for a second or two.

    cpu: µs per request. rate: successful responses per second. p50, p99: ms. The last three are None without a server.
    """

    cpu: float
    rate: float | None
    p50: float | None
    p99: float | None
    requests: int
    errors: int


class Rounds:
    """All rounds by configuration and workload. Rounds with errors are counted but don't contribute to figures."""

    def __init__(self) -> None:
        self._all: dict[tuple[str, str], list[Round]] = defaultdict(list)

    def add(self, configuration: Configuration, workload: Workload, measured: Round) -> None:
        """Add a round."""
        self._all[configuration.name, workload.name].append(measured)

    def _of(self, configuration: str, workload: str) -> list[Round]:
        return self._all.get((configuration, workload), [])

    def figure(self, configuration: str, workload: str, name: str) -> Spread | None:
        """The spread of a field of Round over the rounds without errors; None if there is no value."""
        values = [getattr(measured, name) for measured in self._of(configuration, workload) if not measured.errors]
        values = [value for value in values if value is not None]
        return Spread.of(values) if values else None

    def errors(self, configuration: str, workload: str) -> int:
        """The number of errors in all rounds."""
        return sum(measured.errors for measured in self._of(configuration, workload))

    def as_json(self) -> dict[str, Any]:
        """{configuration: {workload: [round, …]}}"""
        by_name: dict[str, Any] = defaultdict(dict)
        for (configuration, workload), rounds in self._all.items():
            by_name[configuration][workload] = [asdict(measured) for measured in rounds]
        return dict(by_name)


def measure(configurations: list[Configuration], workloads: list[Workload], rounds: int, seconds: int) -> Rounds:
    """Run every workload on every configuration, `rounds` times, for `seconds` each."""
    measured, step = Rounds(), Step("measuring")
    for number in range(rounds):
        for workload in workloads:
            for configuration in configurations:
                if configuration.serves(workload):
                    step.tick(f"round {number + 1} of {rounds}: {workload.name}, {configuration.title}")
                    measured.add(configuration, workload, _round(configuration, workload, seconds))
    step.end()
    return measured


def _round(configuration: Configuration, workload: Workload, seconds: int) -> Round:
    if configuration.name == "bare-callable":
        return _in_process_round(configuration, workload, seconds)
    before = meter.cpu(configuration.containers)
    result = load.closed_loop(configuration.url, workload, seconds)
    used = meter.cpu(configuration.containers) - before
    cpu = used / 1000 / max(result.requests, 1)
    return Round(cpu, result.rate, result.p50, result.p99, result.requests, result.errors)


def _in_process_round(configuration: Configuration, workload: Workload, seconds: int) -> Round:
    """Measure the CPU of the WSGI callable alone; without a server there are no requests to time."""
    script = "/reference/call_in_process.py"
    output = docker("exec", configuration.containers[0], "python3", script, workload.path, str(seconds)).stdout
    return Round(float(output.splitlines()[-1]), None, None, None, 0, 0)


@dataclass(frozen=True)
class Point:
    """One point of a load curve. `at` is a number of clients, or a multiple of the capacity."""

    at: float
    rate: float  # successful responses per second
    p99: float  # ms, of the successful responses
    refused: int  # responses 503
    failed: int  # other statuses, and missing responses


def by_clients(configuration: Configuration, workload: Workload, seconds: int) -> Iterator[Point]:
    """Measure a closed loop of 1 to 512 clients."""
    for clients in CLIENTS:
        result = load.closed_loop(configuration.url, workload, seconds, clients)
        yield Point(clients, result.rate, result.p99, 0, result.errors)


def by_offered_load(configuration: Configuration, workload: Workload, capacity: float, seconds: int) -> Iterator[Point]:
    """Measure an open loop at multiples of `capacity`, a rate in responses per second."""
    for multiple in OFFERED:
        target = Target(workload.path, workload.cookie)
        responses = open_loop(configuration.url, [target], multiple * capacity, seconds)
        latencies = [response.latency * 1000 for response in responses if response.status == 200]
        refused = sum(response.status == 503 for response in responses)
        failed = len(responses) - len(latencies) - refused
        # In the period of the load: later responses would count without the time that they took.
        in_time = sum(response.status == 200 and response.due + response.latency < seconds for response in responses)
        yield Point(multiple, in_time / seconds, percentile(latencies, 99), refused, failed)


def curves(
    configurations: list[Configuration], curve: Callable[[Configuration], Iterator[Point]], title: str
) -> dict[str, list[Point]]:
    """Measure one curve for each configuration and show the progress under `title`."""
    step, measured = Step(title), {}
    for configuration in configurations:
        measured[configuration.name] = []
        for point in curve(configuration):
            step.tick(f"{configuration.title}: {point.at:g}")
            measured[configuration.name].append(point)
    step.end()
    return measured


def start_time(configuration: Configuration, path: str) -> float:
    """Seconds from `docker compose up`, without any container or volume, to the first 200."""
    began = time.monotonic()
    try:
        configuration.up()
        configuration.await_response(path)
        return time.monotonic() - began
    finally:
        configuration.down()


def image_sizes() -> dict[str, float]:
    """MB of the two images that every host runs."""
    tag = os.environ.get("IMAGE_TAG") or "latest"
    return {
        name: int(docker("image", "inspect", "--format", "{{.Size}}", f"tripod-{name}:{tag}").stdout) / 1e6
        for name in ("web", "nginx")
    }
