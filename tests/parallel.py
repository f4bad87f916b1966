"""A pytest plugin for ./stack test: which tests share a process when several processes run."""

from xdist.scheduler import LoadScopeScheduling

# All files in these folders share a fixture that is slow to start: one stack per server, or a stack and a browser.
SHARED_FOLDERS = ("tests/live/conformance", "tests/browser")


class ByFile(LoadScopeScheduling):
    """Run the tests of a file in one process: they share fixtures, and many depend on the test before them."""

    def _split_scope(self, nodeid):
        file = nodeid.split("::")[0]
        return next((folder for folder in SHARED_FOLDERS if file.startswith(folder)), file)


def pytest_xdist_make_scheduler(config, log):
    return ByFile(config, log)
