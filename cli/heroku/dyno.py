"""A dyno: one process type in a place of its own, with the platform's environment and nothing else.

Each has a fresh, writable copy of the slug as /app, its own process ids, an unprivileged user and a memory limit. What
of the test image the platform does not have is hidden. When it ends, all its processes end.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from cli.heroku import environment, memory
from deploy.errors import StackError

USER = 23456  # nobody's; the platform picks one for each dyno
BOOT = 60  # seconds until a web process must listen on PORT (R10)
EXIT = 30  # seconds from SIGTERM to SIGKILL (R12)
TAIL = 20  # lines of a dyno's log that are worth showing

# Process 1 stays a shell, as it is the platform's own on a dyno. The upper layer is in memory: files do not last.
_INSIDE = f"""
set -e
mount -t tmpfs tmpfs "$SCRATCH"
mkdir "$SCRATCH/upper" "$SCRATCH/work"
chown {USER}:{USER} "$SCRATCH/upper"
mount -t overlay -o "lowerdir=$SLUG,upperdir=$SCRATCH/upper,workdir=$SCRATCH/work" overlay {environment.APP}
for hidden in /var/lib /run /opt; do mount -t tmpfs -o ro,mode=755 tmpfs "$hidden"; done
mount -t tmpfs -o mode=1777 tmpfs /tmp
cd {environment.APP}
set +e
setpriv --reuid {USER} --regid {USER} --clear-groups --no-new-privs -- "$@"
exit $?
"""
_PROFILE = 'for file in .profile.d/*.sh; do . "$file"; done; [ ! -f .profile ] || . ./.profile; exec bash -c "$0"'


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Dyno:
    """A running process of the Procfile. `port` is None unless it is a web process."""

    def __init__(self, name: str, child: subprocess.Popen, port: int | None, log: Path, limit: memory.Limit):
        self.name, self.port, self.limit = name, port, limit
        self.url = f"http://127.0.0.1:{port}"
        self._child, self._log = child, log

    def log(self) -> str:
        """All that it has said."""
        return self._log.read_text(errors="replace")

    def tail(self) -> str:
        """The end of what it has said."""
        return "\n".join(self.log().splitlines()[-TAIL:])

    def await_boot(self) -> float:
        """Returns, in seconds, how long it took to listen on PORT. Raises StackError for the platform's reasons."""
        started = time.monotonic()
        while time.monotonic() < started + BOOT:
            if self._child.poll() is not None:
                raise StackError(
                    f"{self.name} crashed with status {self._child.returncode} (H10).",
                    f"It said:\n{self.tail()}",
                    "mend what it says, and commit",
                )
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port or 0), timeout=1):
                return time.monotonic() - started
            time.sleep(0.05)
        raise StackError(
            f"{self.name} failed to bind to $PORT within {BOOT} seconds of launch (R10).",
            f"It said:\n{self.tail()}",
            "listen on the port that PORT names, on all addresses",
        )

    def processes(self) -> list[int]:
        """Its process ids, without the platform's own."""
        found = list(_descendants(self._child.pid))
        return found[1:]  # the first is the shell that is process 1 inside

    def wait(self) -> int:
        """Waits for the process to end by itself and returns its exit status."""
        return self._child.wait()

    def stop(self) -> tuple[int, float]:
        """SIGTERM to all its processes at once; (exit status, seconds). Raises StackError if one stays too long."""
        started = time.monotonic()
        for process in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGTERM)
        try:
            status = self._child.wait(timeout=EXIT)
        except subprocess.TimeoutExpired:
            self.kill()
            raise StackError(
                f"{self.name} failed to exit within {EXIT} seconds of SIGTERM (R12).",
                f"It was killed, and with it the requests in flight. It said:\n{self.tail()}",
                "set SHUTDOWN_GRACE=25",
            ) from None
        return status, time.monotonic() - started

    def kill(self) -> None:
        """Ends it at once; its process 1 takes all others with it."""
        self._child.kill()
        self._child.wait()


def _descendants(process: int) -> Iterator[int]:
    """Children, grandchildren and so on, parents first."""
    with contextlib.suppress(OSError):
        children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
        for child in map(int, children):
            yield child
            yield from _descendants(child)


@contextlib.contextmanager
def start(slug: Path, name: str, command: str, config: Mapping[str, str]) -> Iterator[Dyno]:
    """Starts a command of the Procfile as dyno `name`, such as web.1; it is gone when the block ends."""
    port = free_port() if name.startswith("web.") else None
    Path(environment.APP).mkdir(exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix="tripod-dyno-"))
    given = [f"{key}={value}" for key, value in environment.dyno(name, config, port).items()]
    inside = ["env", "-i", *given, "bash", "-c", _PROFILE, command]
    apart = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--", "sh", "-c", _INSIDE, name]
    try:
        with memory.limit() as limit, open(scratch / "log", "w") as log:
            (scratch / "layer").mkdir()
            environ = {"PATH": os.defpath + ":/usr/sbin:/sbin", "SLUG": str(slug), "SCRATCH": str(scratch / "layer")}
            child = subprocess.Popen(
                [*limit.prefix, *apart, *inside],
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
            dyno = Dyno(name, child, port, scratch / "log", limit)
            try:
                yield dyno
            finally:
                dyno.kill()
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
