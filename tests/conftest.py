"""For all tests: which of them share a process when several run at once."""

from pathlib import Path

import pytest

TOGETHER = "tests/live/conformance"  # its files share one fleet of stacks and write one table


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the marks
def pytest_collection_modifyitems(config, items):
    for item in items:
        path = Path(item.path).relative_to(config.rootpath).as_posix()
        item.add_marker(pytest.mark.xdist_group(TOGETHER if path.startswith(TOGETHER) else path))
