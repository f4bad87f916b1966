"""Measure all configurations in turn, so that other activity on the machine affects all of them alike."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench import meter
from bench.closed_loop import CLIENTS, closed_loop
from bench.configurations import Configuration
from bench.docker import docker
from bench.figures import Rounds
from bench.open_loop import Response, Target, open_loop, percentile
from bench.workloads import Workload
from cli.console import Step
from deploy.errors import StackError

DISCARDED_SECONDS = 1  # per configuration and workload, before the first round
IN_PROCESS_SECONDS = 1
CAPACITY_SECONDS = 2
LATENCY_LOAD = 0.7  # × the capacity of the slowest configuration with the same WSGI server
OFFERED = (0.5, 0.75, 1, 1.5, 2, 3, 4)  # × capacity
OVERLOAD_SECONDS = 3  # per point, of which the first does not count

Figures = dict[str, float]


def _rounds(
    cells: list[tuple[Configuration, Workload]],
    rounds: int,
    title: str,
    measure: Callable[[Configuration, Workload], Figures],
) -> Rounds:
    """Measure each cell in each round; every second round in reverse order, so that neighbours affect both alike."""
    measured, step = Rounds(), Step(title)
    for number in range(rounds):
        for configuration, workload in cells[:: -1 if number % 2 else 1]:
            step.tick(f"round {number + 1} of {rounds}: {workload.name}, {configuration.title}")
            measured.add(configuration.name, workload.name, measure(configuration, workload))
    step.end()
    return measured


def cpu(configurations: list[Configuration], workloads: Sequence[Workload], rounds: int, seconds: float) -> Rounds:
    """CPU per request in µs, and capacity in requests per second: closed loops of `seconds`, after a discarded one."""
    cells = [(c, workload) for workload in workloads for c in configurations if c.serves(workload)]

    def measure(configuration: Configuration, workload: Workload, seconds: float = seconds) -> Figures:
        if configuration.name == "bare-callable":
            return {"cpu": _cpu_in_process(configuration, workload), "requests": 1, "errors": 0}
        containers = configuration.containers
        load = closed_loop(configuration.url, workload, seconds, lambda: meter.cpu(containers))
        return {
            "cpu": load.used / 1000 / max(load.requests, 1),
            "rate": load.requests / seconds,
            "requests": load.requests,
            "errors": load.errors,
        }

    _rounds(cells, 1, "warming up", lambda configuration, workload: measure(configuration, workload, DISCARDED_SECONDS))
    return _rounds(cells, rounds, "measuring CPU and capacity", measure)


def _cpu_in_process(configuration: Configuration, workload: Workload) -> float:
    """The CPU time of the WSGI callable alone, in µs, measured in the idle container."""
    script = ("python3", "/reference/call_in_process.py", workload.path, str(IN_PROCESS_SECONDS))
    return float(docker("exec", configuration.containers[0], *script).stdout.splitlines()[-1])


def _capacity(configuration: Configuration, workload: Workload) -> float:
    requests = closed_loop(configuration.url, workload, CAPACITY_SECONDS).requests
    if not requests:
        raise StackError(
            f"{configuration.title} answered no request in {CAPACITY_SECONDS} s: {workload.name}.",
            "The machine is too busy with something else, or the server is stuck.",
            f"./stack bench --only {configuration.name}   (when the machine is idle)",
        )
    return requests / CAPACITY_SECONDS


def _offer(configuration: Configuration, workload: Workload, rate: float, seconds: float, clients: int | None = None):
    return open_loop(configuration.url, [Target(workload.path, workload.cookie)], rate, seconds, clients)


def latency(configurations: list[Configuration], workload: Workload, rounds: int, seconds: float) -> Rounds:
    """Latencies in ms at a constant rate on 16 kept-alive connections.

    Configurations with the same WSGI server get the same rate.
    """
    step, rates = Step("measuring capacities"), {}
    for configuration in configurations:
        step.tick(configuration.title)
        rate = LATENCY_LOAD * _capacity(configuration, workload)
        rates[configuration.server] = min(rate, rates.get(configuration.server, math.inf))
    step.end()

    def measure(configuration: Configuration, workload: Workload) -> Figures:
        rate = rates[configuration.server]
        responses = _offer(configuration, workload, rate, seconds, CLIENTS)
        latencies = [response.latency * 1000 for response in responses]
        return {
            "rate": rate,
            "p50": percentile(latencies, 50),
            "p99": percentile(latencies, 99),
            "lag": percentile([response.lag * 1000 for response in responses], 99),
            "requests": len(responses),
            "errors": sum(response.status != 200 for response in responses),
        }

    cells = [(configuration, workload) for configuration in configurations]
    return _rounds(cells, rounds, "measuring latency", measure)


@dataclass(frozen=True)
class Point:
    """One point of a load curve."""

    at: float  # × capacity
    rate: float  # successful responses per second
    p99: float  # ms, of the successful responses
    refused: int  # responses 503
    failed: int  # other statuses, and missing responses

    @classmethod
    def of(cls, at: float, responses: list[Response], seconds: float) -> "Point":
        """The point of these responses to a load of `seconds`. The rate leaves out the first second, and what comes
        after the load."""
        served = [response for response in responses if response.status == 200]
        in_time = sum(1 <= response.due + response.latency < seconds for response in served)
        refused = sum(response.status == 503 for response in responses)
        p99 = percentile([response.latency * 1000 for response in served], 99)
        return cls(
            at, round(in_time / (seconds - 1), 1), round(p99, 1), refused, len(responses) - len(served) - refused
        )


def overload(configurations: list[Configuration], workload: Workload) -> dict[str, list[Point]]:
    """Serve multiples of the capacity, one configuration after the other."""
    step, measured = Step(f"measuring overload: {workload.name}"), {}
    for configuration in configurations:
        capacity = _capacity(configuration, workload)
        measured[configuration.name] = []
        for multiple in OFFERED:
            step.tick(f"{configuration.title}: {multiple:g} × {capacity:.0f} requests/s")
            responses = _offer(configuration, workload, multiple * capacity, OVERLOAD_SECONDS)
            measured[configuration.name].append(Point.of(multiple, responses, OVERLOAD_SECONDS))
    step.end()
    return measured


def start_time(configuration: Configuration, path: str) -> float:
    """Seconds from `docker compose up`, without any container or volume, to the first 200."""
    began = time.monotonic()
    try:
        configuration.up()
        configuration.await_response(path)
        return round(time.monotonic() - began, 2)
    finally:
        configuration.down()
