"""docs/explanation/reliability.md: what was done to the stack, how often, and how many requests or writes failed.

A run replaces the sections for which it has rows and keeps the others, so each section names its own date and versions.
Two sections are written by hand: "Common failures" and "Replacing Nginx".
"""

import datetime
import re
import textwrap
from collections import defaultdict
from pathlib import Path

from tests.live import versions

HEAD = """# Reliability

What was done to the stack, how often, and how many requests or writes failed. Written by `./stack prove`; do not edit,
except for the sections [Common failures](#common-failures) and [Replacing Nginx](#replacing-nginx).
"""
COLUMNS = "| what | times | failed | remark |\n| --- | --- | --- | --- |\n"


class Report:
    """The rows of one run, by section."""

    def __init__(self):
        self._rows: dict[str, list[str]] = defaultdict(list)

    def record(self, section: str, what: str, times: int, failed: int, note: str = "") -> None:
        """Add one row. A test calls this before it asserts, so that failures are recorded too.

        `times` and `failed` count the same thing, which `what` names, such as "requests during a switch".
        """
        cells = (cell.replace("|", "\\|") for cell in (what, f"{times:,}", f"{failed:,}", note))
        self._rows[section].append("| " + " | ".join(cells) + " |\n")

    def write(self, path: Path) -> None:
        """Write the sections of this run to the file, in place of older ones of the same name."""
        sections = _sections(path.read_text() if path.exists() else "")
        written = f"{datetime.date.today()}, release {versions.release()}. {', '.join(_versions())}."
        written = textwrap.fill(written, 120, break_on_hyphens=False) + "\n"
        for section, rows in self._rows.items():
            sections[section] = f"{written}\n{COLUMNS}{''.join(rows)}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join([HEAD, *(f"## {name}\n\n{text}" for name, text in sections.items())]))


def _sections(text: str) -> dict[str, str]:
    """The text of each section of the file, by title."""
    parts = re.split(r"^## (.+)\n\n", text, flags=re.MULTILINE)[1:]
    return {title: body.rstrip("\n") + "\n" for title, body in zip(parts[::2], parts[1::2], strict=True)}


def _versions() -> list[str]:
    return [*versions.of_the_images(), *versions.of_the_host()]
