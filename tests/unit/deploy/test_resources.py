"""deploy/resources.py: the limits of the container, read from files in the format of the kernel."""

import os

import pytest

from deploy import resources

GIB = 1024**3
HOST = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


@pytest.fixture
def cgroup(tmp_path, monkeypatch):
    """Return a function that writes cgroup files, on a machine with eight CPUs."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)))

    def write(**files: str):
        for name, content in files.items():
            path = tmp_path / name.replace("__", "/").replace("DOT", ".")
            path.parent.mkdir(exist_ok=True)
            path.write_text(content + "\n")
        return tmp_path

    return write


@pytest.mark.parametrize(
    ("files", "cpus"),
    [
        ({}, 8),
        ({"cpuDOTmax": "max 100000"}, 8),
        ({"cpuDOTmax": "200000 100000"}, 2),
        ({"cpuDOTmax": "290000 100000"}, 2),
        ({"cpuDOTmax": "50000 100000"}, 1),
        ({"cpuDOTmax": "1600000 100000"}, 8),
        ({"cpu__cpuDOTcfs_quota_us": "-1", "cpu__cpuDOTcfs_period_us": "100000"}, 8),
        ({"cpu__cpuDOTcfs_quota_us": "300000", "cpu__cpuDOTcfs_period_us": "100000"}, 3),
        ({"cpu__cpuDOTcfs_quota_us": "10000", "cpu__cpuDOTcfs_period_us": "100000"}, 1),
        ({"cpu__cpuDOTcfs_quota_us": "10000"}, 8),
        ({"cpuDOTmax": ""}, 8),
        ({"cpuDOTmax": "100000 0"}, 8),
    ],
)
def test_cpus(cgroup, files, cpus):
    """The CPUs are those of the affinity, limited by the quota of cgroup v2 or v1, and at least one."""
    assert resources.cpus(cgroup(**files)) == cpus


@pytest.mark.parametrize(
    ("files", "memory"),
    [
        ({}, HOST),
        ({"memoryDOTmax": "max"}, HOST),
        ({"memoryDOTmax": "268435456"}, GIB // 4),
        ({"memoryDOTmax": str(HOST * 2)}, HOST),
        ({"memory__memoryDOTlimit_in_bytes": "268435456"}, GIB // 4),
        ({"memory__memoryDOTlimit_in_bytes": "9223372036854771712"}, HOST),
    ],
)
def test_memory(cgroup, files, memory):
    """The memory is the machine's, limited by cgroup v2 or v1."""
    assert resources.memory(cgroup(**files)) == memory


@pytest.mark.parametrize(
    ("files", "workers"),
    [
        (
            {"cpuDOTmax": "200000 100000", "memoryDOTmax": str(HOST)},
            min(2, HOST // resources.MEMORY_PER_WORKER),
        ),
        ({"memoryDOTmax": str(3 * resources.MEMORY_PER_WORKER)}, 3),
        ({"memoryDOTmax": str(resources.MEMORY_PER_WORKER // 2)}, 1),
    ],
)
def test_default_workers(cgroup, files, workers):
    """There is one worker process per CPU if memory suffices, and at least one."""
    assert resources.default_workers(cgroup(**files)) == workers


@pytest.mark.parametrize(("content", "backlog"), [("128", 128), ("4096", 1024), ("", 1024), (None, 1024)])
def test_backlog(tmp_path, content, backlog):
    """The backlog is the requested one, or the maximum of the kernel if that is less."""
    if content is not None:
        (tmp_path / "somaxconn").write_text(content)
    assert resources.backlog(1024, tmp_path / "somaxconn") == backlog
