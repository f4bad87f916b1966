"""A pytest plugin for ./stack test: which tests share a process when several processes run, and which start first."""

import pytest
from xdist.scheduler import LoadScopeScheduling

# All files in these folders share a fixture that is slow to start: one stack per server, or a stack and a browser.
SHARED_FOLDERS = ("tests/live/conformance", "tests/browser")
# The slowest files, in descending order: one that starts last would run alone at the end. The lines
# "[n/m] file: … (x s)" of ./stack test show the durations. After them come the other tests that start containers.
SLOWEST = (
    "tests/live/reliability/test_rollout.py",
    "tests/live/reliability/test_rollout_interrupted.py",
    "tests/live/conformance",
    "tests/live/reliability/test_in_flight.py",
    "tests/live/reliability/test_bad_releases.py",
    "tests/live/reliability/test_watchdogs.py",
    "tests/live/reliability/test_exhausted_workers.py",
    "tests/live/test_backup.py",
    "tests/live/reliability/test_database_faults.py",
    "tests/live/test_heroku.py",
    "tests/live/test_custom_app.py",
    "tests/browser",
)
WITH_CONTAINERS = ("tests/live/", "tests/browser/")


class ByFile(LoadScopeScheduling):
    """Run the tests of a file in one process: they share fixtures."""

    def _split_scope(self, nodeid):
        return unit(nodeid)

    def _reschedule(self, node):
        """Assign the next file when the last test of a file starts.

        Default: two tests before its end. The tests of that file would wait, although another process may be idle.
        """
        if self._pending_of(self.assigned_work[node]) <= 1 or not self.workqueue:
            super()._reschedule(node)


def unit(nodeid: str) -> str:
    """Return the file of a test, or the folder if its files share a process."""
    file = nodeid.split("::")[0]
    return next((folder for folder in SHARED_FOLDERS if file.startswith(f"{folder}/")), file)


def pytest_xdist_make_scheduler(config, log):
    return ByFile(config, log)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: _rank(item.nodeid))  # a stable sort: otherwise as collected, or as named by the user


def _rank(nodeid: str) -> int:
    name = unit(nodeid)
    if name in SLOWEST:
        return SLOWEST.index(name)
    return len(SLOWEST) + (not nodeid.startswith(WITH_CONTAINERS))
