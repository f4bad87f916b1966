"""deploy/descriptors.py: a process that can soon open nothing any more ends, and no other does."""

import signal

import pytest

from deploy.descriptors import RESERVE
from tests.support.wsgi import python

CODE = """if 1:
    import os, resource, sys
    from deploy import descriptors
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    taken = []
    try:
        while True:
            taken.append(os.dup(0))
    except OSError:
        pass
    for descriptor in taken[len(taken) - int(sys.argv[1]):]:
        os.close(descriptor)
    descriptors.restart_when_exhausted()
"""


@pytest.mark.parametrize(("left", "status"), [(0, -signal.SIGTERM), (RESERVE, -signal.SIGTERM), (RESERVE + 1, 0)])
def test_ends_in_time(left, status):
    """Where hardly any is left the process ends as if it had been told to, so that its server takes it for that."""
    assert python(CODE, str(left)).returncode == status
