"""docs/explanation/reliability.md: what was done to the stack, how often, and how many requests or writes failed of it.

Written by the tests alone. A run replaces the sections that it has something for and leaves the others, so each says
itself when it was written, and of what.
"""

import datetime
import re
from collections import defaultdict
from pathlib import Path

from tests.live import versions

HEAD = """# Reliability

Written by `./stack prove`; do not edit. What was done, how often, and how many failed of it.
"""
COLUMNS = "| what | times | failed | remark |\n| --- | --- | --- | --- |\n"


class Report:
    """The rows of one run, by section."""

    def __init__(self):
        self._rows: dict[str, list[str]] = defaultdict(list)

    def record(self, section: str, what: str, times: int, failed: int, note: str = "") -> None:
        """One row. A test calls it before it asserts, so that what has failed stands there too.

        `times` and `failed` count the same thing, which `what` names, such as "requests during a switch".
        """
        cells = (cell.replace("|", "\\|") for cell in (what, f"{times:,}", f"{failed:,}", note))
        self._rows[section].append("| " + " | ".join(cells) + " |\n")

    def write(self, path: Path) -> None:
        """Puts this run's sections into the file, in the place of older ones of the same name."""
        sections = _sections(path.read_text() if path.exists() else "")
        written = f"{datetime.date.today()}, release {versions.release()}. {', '.join(_versions())}.\n"
        for section, rows in self._rows.items():
            sections[section] = f"{written}\n{COLUMNS}{''.join(rows)}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join([HEAD, *(f"## {name}\n\n{text}" for name, text in sections.items())]))


def _sections(text: str) -> dict[str, str]:
    """Title → text of each section that an earlier run has written."""
    parts = re.split(r"^## (.+)\n\n", text, flags=re.MULTILINE)[1:]
    return {title: body.rstrip("\n") + "\n" for title, body in zip(parts[::2], parts[1::2], strict=True)}


def _versions() -> list[str]:
    return [*versions.of_the_images(), *versions.of_the_host()]
