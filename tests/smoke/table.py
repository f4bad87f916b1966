"""The table of results: one line per test, grouped by file."""

import sys
from pathlib import Path

MAX_REASON = 160  # characters
NOT_RUN = "not run"


class Table:
    """A pytest plugin that collects the result of each test. The cases of a parametrized test share one result."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.where = ""
        self.hides_other_output = False
        self._reasons: dict[tuple[str, str], str] = {}  # (subject, docstring) → reason of the failure; empty: passed

    def pytest_itemcollected(self, item):
        if self.folder in item.path.parents:
            item.user_properties.append(("subject", _sentence(item.module.__doc__)))
            item.user_properties.append(("docstring", _sentence(item.function.__doc__)))

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
        if not self.hides_other_output:
            return None
        if report.when == "call":
            return report.outcome, "", ""
        return "error" if report.failed else "", "", ""

    def pytest_terminal_summary(self, terminalreporter):
        if not self._reasons:
            return
        passed, failed = _symbols(sys.__stdout__.encoding)
        subject = None
        for (group, docstring), reason in self._reasons.items():
            if group != subject:
                terminalreporter.write_line(f"\n{group}", bold=True)
                subject = group
            line = f"  {failed} {docstring} - {reason}" if reason else f"  {passed} {docstring}"
            terminalreporter.write_line(line, red=bool(reason), green=not reason)
        self._write_total(terminalreporter)

    def _write_total(self, terminalreporter):
        passed = sum(not reason for reason in self._reasons.values())
        terminalreporter.write_line(f"\n{passed} of {len(self._reasons)} smoke tests passed {self.where}", bold=True)


def _key(item_or_report) -> tuple[str, str] | None:
    properties = dict(item_or_report.user_properties)
    if "docstring" not in properties:
        return None
    return properties["subject"], properties["docstring"]


def _sentence(docstring: str) -> str:
    return docstring.strip().splitlines()[0].rstrip(".")


def _reason(report) -> str:
    """Return the reason of a failure in one line, with the name of the case. Empty if the test passed."""
    if report.passed:
        return ""
    crash = getattr(report.longrepr, "reprcrash", None)
    text = (crash.message if crash else str(report.longrepr)).splitlines()[0].removeprefix("AssertionError: ")
    case = report.nodeid.partition("[")[2].removesuffix("]")
    return (f"{case}: {text}" if case else text)[:MAX_REASON]


def _symbols(encoding: str | None) -> tuple[str, str]:
    try:
        "✓✗".encode(encoding or "ascii")
    except UnicodeEncodeError:
        return "ok    ", "FAILED"
    return "✓", "✗"
