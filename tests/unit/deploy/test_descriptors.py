"""deploy/descriptors.py: only a process that is about to run out of file descriptors is terminated."""

import signal

import pytest

from deploy.descriptors import RESERVE
from tests.support.wsgi import python

CODE = """if 1:
    import os, resource, sys
    from deploy import descriptors
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    opened = []
    try:
        while True:
            opened.append(os.dup(0))
    except OSError:
        pass
    for descriptor in opened[len(opened) - int(sys.argv[1]):]:
        os.close(descriptor)
    descriptors.restart_when_exhausted()
"""


@pytest.mark.parametrize(("left", "status"), [(0, -signal.SIGTERM), (RESERVE, -signal.SIGTERM), (RESERVE + 1, 0)])
def test_terminated_before_exhaustion(left, status):
    """With at most RESERVE free descriptors the process gets SIGTERM, as if its server stopped it."""
    assert python(CODE, str(left)).returncode == status
