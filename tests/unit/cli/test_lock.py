"""./stack lock, as far as it needs no engine."""

import json

from cli.commands import lock
from cli.console import ROOT


def test_no_index_in_the_lock():
    """What pipenv writes about the index it used is left out, and nothing else is changed."""
    source = {"name": "pypi", "url": "https://index.example/simple", "verify_ssl": True}
    made = {"_meta": {"hash": {"sha256": "0"}, "sources": [source]}, "default": {"flask": {"version": "==3"}}}
    kept = json.loads(lock.without_index(json.dumps(made)))
    assert kept == made | {"_meta": {"hash": {"sha256": "0"}, "sources": []}}


def test_the_projects_own_lock_names_no_index():
    """Pipfile.lock is as the verb leaves it."""
    text = (ROOT / "Pipfile.lock").read_text()
    assert lock.without_index(text) == text
