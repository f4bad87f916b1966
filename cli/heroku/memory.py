"""A dyno's memory limit: a cgroup of its own where one can be made, else a limit for each process."""

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
    """`prefix` is put in front of a command that is to run within the limit; `kind` says what limits it."""

    prefix: list[str]
    kind: str
    peak_file: Path | None = None

    def peak(self) -> int:
        """The most bytes that were in use at once; 0 if nobody counts."""
        return int(self.peak_file.read_text()) if self.peak_file and self.peak_file.exists() else 0


@contextlib.contextmanager
def limit(size: int = DYNO) -> Iterator[Limit]:
    """A limit of `size` bytes for one dyno, gone again afterwards."""
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
    # The kernel counts for each process here, not for all of a dyno together.
    yield Limit(["prlimit", f"--data={size}", "--"], "RLIMIT_DATA of each process")


def _remove(group: Path) -> None:
    """A process that was just killed holds its group for a moment more."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            group.rmdir()
            return
        time.sleep(0.01)
