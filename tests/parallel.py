"""A plugin of ./stack test: which tests share a process when several run at once."""

from xdist.scheduler import LoadScopeScheduling

TOGETHER = "tests/live/conformance"  # its files share one fleet of stacks and write one table


class ByFile(LoadScopeScheduling):
    """A file's tests share fixtures, and often follow from one another."""

    def _split_scope(self, nodeid):
        return TOGETHER if nodeid.startswith(TOGETHER) else nodeid.split("::")[0]


def pytest_xdist_make_scheduler(config, log):
    return ByFile(config, log)
