"""The table of ticks at the end: one line for each promise, grouped by file."""

import sys
from pathlib import Path

WIDEST = 160  # characters of a reason
NOT_RUN = "not looked at"


class Table:
    """A pytest plugin that collects what became of each promise. Cases of one test are one promise."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.where = ""
        self.alone = False  # nothing else is printed
        self._reasons: dict[tuple[str, str], str] = {}  # subject and promise → why it is broken, or nothing

    def pytest_itemcollected(self, item):
        if self.folder in item.path.parents:
            item.user_properties.append(("subject", _sentence(item.module.__doc__)))
            item.user_properties.append(("promise", _sentence(item.function.__doc__)))

    def pytest_collection_finish(self, session):
        for key in filter(None, map(_key, session.items)):
            self._reasons[key] = NOT_RUN

    def pytest_runtest_logreport(self, report):
        key = _key(report)
        if not key or (report.passed and report.when != "call"):
            return
        if self._reasons.get(key, NOT_RUN) in ("", NOT_RUN):
            self._reasons[key] = _reason(report)

    def pytest_report_teststatus(self, report):
        if not self.alone:
            return None
        if report.when == "call":
            return report.outcome, "", ""
        return "error" if report.failed else "", "", ""

    def pytest_terminal_summary(self, terminalreporter):
        if not self._reasons:
            return
        kept, broken = _ticks(sys.__stdout__.encoding)
        subject = None
        for (group, promise), reason in self._reasons.items():
            if group != subject:
                terminalreporter.write_line(f"\n{group}", bold=True)
                subject = group
            line = f"  {broken} {promise} - {reason}" if reason else f"  {kept} {promise}"
            terminalreporter.write_line(line, red=bool(reason), green=not reason)
        self._write_total(terminalreporter)

    def _write_total(self, terminalreporter):
        held = sum(not reason for reason in self._reasons.values())
        terminalreporter.write_line(f"\n{held} of {len(self._reasons)} promises kept {self.where}", bold=True)


def _key(item_or_report) -> tuple[str, str] | None:
    found = dict(item_or_report.user_properties)
    return (found["subject"], found["promise"]) if "promise" in found else None


def _sentence(docstring: str) -> str:
    return docstring.strip().splitlines()[0].rstrip(".")


def _reason(report) -> str:
    """Why a test did not pass, in one line, with the case it was; nothing if it passed."""
    if report.passed:
        return ""
    crash = getattr(report.longrepr, "reprcrash", None)
    text = (crash.message if crash else str(report.longrepr)).splitlines()[0].removeprefix("AssertionError: ")
    case = report.nodeid.partition("[")[2].removesuffix("]")
    return (f"{case}: {text}" if case else text)[:WIDEST]


def _ticks(encoding: str | None) -> tuple[str, str]:
    try:
        "✓✗".encode(encoding or "ascii")
    except UnicodeEncodeError:
        return "ok    ", "BROKEN"
    return "✓", "✗"
