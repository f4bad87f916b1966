"""docs/explanation/reliability.md: the tests that its table of common failures names exist."""

import re

from deploy.settings import ROOT

FAILURES = 27


def test_each_failure_has_its_test():
    """Each failure of the table is provoked by an existing test, and no failure is listed twice."""
    text = (ROOT / "docs/explanation/reliability.md").read_text()
    rows = re.findall(r"^\| (.+?) \| `(tests/\S+\.py)::(test_\w+)` \|$", text, re.M)
    assert len({what for what, _, _ in rows}) == len(rows) == FAILURES
    missing = [
        f"{file}::{test}"
        for _, file, test in rows
        if not (ROOT / file).exists() or f"\ndef {test}(" not in (ROOT / file).read_text()
    ]
    assert missing == []
