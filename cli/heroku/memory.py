"""The memory limit of a dyno: a cgroup if one can be created, otherwise a limit for each process."""

import contextlib
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

MB = 1024**2
DYNO = 512 * MB  # Eco, Basic and Standard-1X
CGROUPS = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class Limit:
    """prefix: the words before a command that is to run within the limit. kind: how it is limited, for the output."""

    prefix: list[str]
    kind: str
    peak_file: Path | None = None

    def peak(self) -> int:
        """The peak of the memory in use, in bytes; 0 if unknown."""
        return int(self.peak_file.read_text()) if self.peak_file and self.peak_file.exists() else 0


@contextlib.contextmanager
def limit(size: int = DYNO) -> Iterator[Limit]:
    """Create a limit of `size` bytes for one dyno, and remove it afterwards."""
    name = f"tripod-dyno-{secrets.token_hex(4)}"
    for parent, maximum, peak, version in (
        (CGROUPS / "memory", "memory.limit_in_bytes", "memory.max_usage_in_bytes", "v1"),
        (CGROUPS, "memory.max", "memory.peak", "v2"),
    ):
        group = parent / name
        try:
            group.mkdir()
            (group / maximum).write_text(str(size))
        except OSError:
            with contextlib.suppress(OSError):
                group.rmdir()
            continue
        join = ["sh", "-c", 'echo $$ > "$0" && exec "$@"', str(group / "cgroup.procs")]
        try:
            yield Limit(join, f"cgroup {version}", group / peak)
        finally:
            _remove(group)
        return
    # This limits each process, not the sum of all processes of a dyno.
    yield Limit(["prlimit", f"--data={size}", "--"], "RLIMIT_DATA of each process")


def _remove(group: Path) -> None:
    """Remove the cgroup; a process that was just killed keeps it busy for a moment."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            group.rmdir()
            return
        time.sleep(0.01)
