"""Unit tests of ./stack lock, without an engine."""

import json
import re

from cli.commands import lock
from cli.console import ROOT


def test_no_index_in_the_lock():
    """The package index that pipenv writes into the lock file is removed, and nothing else is changed."""
    source = {"name": "pypi", "url": "https://index.example/simple", "verify_ssl": True}
    lock_file = {"_meta": {"hash": {"sha256": "0"}, "sources": [source]}, "default": {"flask": {"version": "==3"}}}
    stripped = json.loads(lock.without_index(json.dumps(lock_file)))
    assert stripped == lock_file | {"_meta": {"hash": {"sha256": "0"}, "sources": []}}


def test_lock_file_of_the_project_has_no_index():
    """Pipfile.lock is in the form that ./stack lock writes."""
    text = (ROOT / "Pipfile.lock").read_text()
    assert lock.without_index(text) == text


def test_build_tools_have_hashes():
    """build-tools.txt pins what pip has resolved, with hashes, and is in the form that ./stack lock writes."""
    text = (ROOT / "build-tools.txt").read_text()
    pinned = re.findall(r"^(\S+)==(\S+) --hash=sha256:(\S+)$", text, re.MULTILINE)
    report = [
        {
            "metadata": {"name": name, "version": version},
            "download_info": {"archive_info": {"hashes": {"sha256": digest}}},
        }
        for name, version, digest in reversed(pinned)
    ]
    assert lock.tools(json.dumps({"install": report})) == text and "pipenv" in dict((one[0], one) for one in pinned)
