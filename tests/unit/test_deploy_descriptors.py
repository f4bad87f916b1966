"""deploy/descriptors.py: a process that can open nothing any more ends, and no other does."""

import signal

from tests.unit.deploy_support import python

CODE = """if 1:
    import os, resource
    from deploy import descriptors
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    taken = []
    try:
        while True:
            taken.append(os.dup(0))
    except OSError:
        pass
"""


def test_ends_without_descriptors():
    """Where none is left the process ends as if it had been told to, so that its server takes it for that."""
    assert python(CODE + "    descriptors.leave_without()").returncode == -signal.SIGTERM


def test_one_is_enough():
    """As long as there is one the process stays."""
    done = python(CODE + "    os.close(taken[-1]); descriptors.leave_without(); print('still here')")
    assert (done.returncode, done.stdout) == (0, "still here\n"), done.stderr
