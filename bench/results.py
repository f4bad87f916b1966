"""The results of a run, and their file."""

import json
import re
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench import goals
from bench.figures import Interval, Rounds
from bench.measure import Point
from deploy.errors import EXIT_USAGE, StackError


@dataclass
class Results:
    """All results. Parts of the benchmark that were not measured are missing."""

    machine: dict[str, str] = field(default_factory=dict)
    parts: dict[str, Rounds] = field(default_factory=dict)  # comparison, ablation, latency
    overload: dict[str, dict[str, list[Point]]] = field(default_factory=dict)  # by workload and configuration
    memory: dict[str, float] = field(default_factory=dict)  # MB by configuration, idle
    start_times: list[float] = field(default_factory=list)  # seconds
    images: dict[str, float] = field(default_factory=dict)  # MB
    seconds: float = 0  # of the counted window of a round

    @classmethod
    def read(cls, file: Path) -> "Results":
        """The results in a file."""
        data = load(file)
        data.pop("ratios")
        data["parts"] = {part: Rounds(values) for part, values in data["parts"].items()}
        data["overload"] = {
            workload: {name: [Point(**point) for point in points] for name, points in by_name.items()}
            for workload, by_name in data["overload"].items()
        }
        return cls(**data)

    def write(self, file: Path) -> None:
        """Write the values of all rounds, and the ratios, to a file."""
        data: dict[str, Any] = asdict(self) | {
            "ratios": {ratio.name: asdict(interval) for ratio, interval in goals.ratios(self.parts)},
            "parts": {part: rounds.values for part, rounds in self.parts.items()},
        }
        text = json.dumps(data, indent=1, ensure_ascii=False)
        lists = re.sub(r"[\[{][^][{}]*[]}]", lambda innermost: " ".join(innermost[0].split()), text)
        file.write_text(lists + "\n")


def load(file: Path) -> dict[str, Any]:
    """The JSON of a results file. Raises StackError if it has another form."""
    try:
        data = json.loads(file.read_text())
        for interval in data["ratios"].values():
            Interval(**interval)
        return data
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise StackError(
            f"{file} has no results of this benchmark.",
            f"{type(error).__name__}: {error}",
            f"./stack bench --json {file}   (after removing the file, if it exists)",
            status=EXIT_USAGE,
        ) from None


def baseline(file: Path) -> dict[str, Interval]:
    """The ratios in a file, by name."""
    return {name: Interval(**interval) for name, interval in load(file)["ratios"].items()}
