"""docs/explanation/interchangeability.md: the expected behavior and what each server did, as the tests observed it."""

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

The same requests were sent to every server, through Nginx. "= n" means that n requests got the same, expected response;
"app saw n" is the number of requests that reached the app.

{versions}
"""


class Table:
    def __init__(self, servers: list[str]):
        self._servers = servers
        self._rows: dict[str, list[list[str]]] = defaultdict(list)
        self._count = 0

    def add(self, group: str, behaviour: str, expectation: str, results: dict[str, str], count: int = 1) -> None:
        """Add one row; `results` is what each server did, `count` the number of requests to each of them."""
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
            f"{self._count:,} requests to each of {len(self._servers)} servers, 0 differences outside the list of "
            f"{len(known.DIFFERENCES)} below."
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
        listed = [[what, why] for what, why in known.DIFFERENCES.items()]
        seen = [[why, ", ".join(sorted(names))] for why, names in known.SEEN_THOUGH_INVALID.items()]
        parts += [
            "## Requests that Gunicorn alone would refuse, and every server here accepts\n",
            _markdown(["why this is harmless", "requests of Gunicorn's corpus"], seen),
        ]
        parts += ["## Remaining differences\n", _markdown(["difference", "why it remains"], listed)]
        return "\n".join(parts)


def _markdown(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)
