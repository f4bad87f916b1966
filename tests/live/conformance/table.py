"""Write docs/explanation/interchangeability.md: the expected and the observed behaviour of each server."""

import datetime
import json
import textwrap
from collections import defaultdict
from pathlib import Path

from tests.live import versions
from tests.live.conformance import known

HEAD = """# Interchangeability

Written by `./stack prove`; do not edit. {date}, release {release}.

**{summary}**

Every request is sent to every server through Nginx. "= n" means that n requests got the expected response, and
"app saw n" that n requests reached the app.

{versions}
"""


class Table:
    def __init__(self, servers: list[str]):
        self._servers = servers
        self._rows: dict[str, list[list[str]]] = defaultdict(list)
        self._count = 0

    def add(self, group: str, behaviour: str, expectation: str, results: dict[str, str], count: int = 1) -> None:
        """Add a row. `results` is what each server did, `count` the number of requests that each of them got."""
        self._count += count
        cells = [results[server] for server in self._servers]
        self._rows[group].append([behaviour, expectation, *cells, str(count)])

    def write(self, file: str, fleet) -> None:
        path = Path(file)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self._text(fleet))

    def _text(self, fleet) -> str:
        alive = fleet.on_each(lambda server: json.loads(server.get("/healthz")))
        summary = (
            f"{self._count:,} requests to each of {len(self._servers)} servers: 0 differences except for the "
            f"{len(known.DIFFERENCES)} listed below."
        )
        parts = [
            HEAD.format(
                date=datetime.date.today(),
                release=next(iter(alive.values()))["release"],
                summary=summary,
                versions=textwrap.fill(", ".join(versions.of_the_images()), 120, break_on_hyphens=False),
            )
        ]
        for group, rows in self._rows.items():
            parts += [f"## {group}\n", _markdown(["behaviour", "expected", *self._servers, "requests"], rows)]
        differences = [[difference, reason] for difference, reason in known.DIFFERENCES.items()]
        seen = [[reason, ", ".join(sorted(names))] for reason, names in known.SEEN_THOUGH_INVALID.items()]
        parts += [
            "## Requests that Gunicorn alone would refuse\n",
            _markdown(["why they are harmless", "requests of Gunicorn's tests"], seen),
        ]
        parts += ["## Remaining differences\n", _markdown(["difference", "why it is harmless"], differences)]
        return "\n".join(parts)


def _markdown(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)
