"""Write docs/explanation/reliability.md: each fault, how often it was provoked, and how many requests or writes failed.

A run replaces the sections for which it has rows and keeps the others. Each section therefore names its date, release
and software versions. The sections "Common failures" and "Replacing Nginx" are written by hand.
"""

import datetime
import re
import textwrap
from collections import defaultdict
from pathlib import Path

from tests.live import versions

HEAD = """# Reliability

Written by `./stack prove`; do not edit, except for the sections [Common failures](#common-failures) and
[Replacing Nginx](#replacing-nginx). Each table lists what was counted, how many there were, and how many failed.
"""
COLUMNS = "| what | count | failed | remark |\n| --- | --- | --- | --- |\n"


class Report:
    """The rows of a run, by section."""

    def __init__(self):
        self._rows: dict[str, list[str]] = defaultdict(list)

    def record(self, section: str, what: str, count: int, failed: int, note: str = "") -> None:
        """Add a row. Tests call it before they assert, so that failures are recorded too.

        `what` names the unit of `count` and `failed`, for example "requests during a switch".
        """
        cells = (cell.replace("|", "\\|") for cell in (what, f"{count:,}", f"{failed:,}", note))
        self._rows[section].append("| " + " | ".join(cells) + " |\n")

    def write(self, path: Path) -> None:
        """Write this run's sections into the file. They replace older sections of the same name."""
        sections = _sections(path.read_text() if path.exists() else "")
        written = f"{datetime.date.today()}, release {versions.release()}. {', '.join(_versions())}."
        written = textwrap.fill(written, 120, break_on_hyphens=False) + "\n"
        for section, rows in self._rows.items():
            sections[section] = f"{written}\n{COLUMNS}{''.join(rows)}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join([HEAD, *(f"## {name}\n\n{text}" for name, text in sections.items())]))


def _sections(text: str) -> dict[str, str]:
    """Return the text of each existing section, by title."""
    parts = re.split(r"^## (.+)\n\n", text, flags=re.MULTILINE)[1:]
    return {title: body.rstrip("\n") + "\n" for title, body in zip(parts[::2], parts[1::2], strict=True)}


def _versions() -> list[str]:
    return [*versions.of_the_images(), *versions.of_the_host()]
