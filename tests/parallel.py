"""A plugin of ./stack test: which tests share a process when several run at once."""

from xdist.scheduler import LoadScopeScheduling

# The files of these folders share what takes long to start: a fleet of stacks; a stack and a browser.
TOGETHER = ("tests/live/conformance", "tests/browser")


class ByFile(LoadScopeScheduling):
    """A file's tests share fixtures, and often follow from one another."""

    def _split_scope(self, nodeid):
        file = nodeid.split("::")[0]
        return next((folder for folder in TOGETHER if file.startswith(folder)), file)


def pytest_xdist_make_scheduler(config, log):
    return ByFile(config, log)
