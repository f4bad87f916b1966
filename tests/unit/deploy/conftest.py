"""Fixtures of the tests of deploy/."""

import pytest

from deploy import logs


@pytest.fixture
def caplog(caplog):
    """Pytest's fixture, which also has the records of the stack's own loggers: they are outside of `logging`."""
    logs.root.addHandler(caplog.handler)
    yield caplog
    logs.root.removeHandler(caplog.handler)
