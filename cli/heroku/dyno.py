"""Dynos: isolated processes of the Procfile with the environment of the platform.

Each dyno has a fresh, writable copy of the slug as /app, its own PID namespace, an unprivileged user and a memory
limit. The parts of the test image that the platform does not have are hidden. When a dyno ends, all its processes end.
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

USER = 23456  # an unused uid; the platform chooses one for each dyno
BOOT = 60  # seconds until a web process must listen on PORT (R10)
EXIT = 30  # seconds from SIGTERM to SIGKILL (R12)
TAIL = 20  # last lines of a dyno's log that an error shows

# Process 1 is a shell; on the platform it is one of the platform's programs. The upper layer is in memory, so files do
# not persist.
_SETUP = f"""
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
    """A port on which no process listens."""
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
        """Its output."""
        return self._log.read_text(errors="replace")

    def tail(self) -> str:
        """The last lines of its output."""
        return "\n".join(self.log().splitlines()[-TAIL:])

    def await_boot(self) -> float:
        """Wait until it listens on PORT; return the seconds. Raise StackError with the platform's error code."""
        started = time.monotonic()
        while time.monotonic() < started + BOOT:
            if self._child.poll() is not None:
                raise StackError(
                    f"{self.name} crashed with status {self._child.returncode} (H10).",
                    f"Its last output:\n{self.tail()}",
                    "correct the error, and commit",
                )
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port or 0), timeout=1):
                return time.monotonic() - started
            time.sleep(0.05)
        raise StackError(
            f"{self.name} failed to bind to $PORT within {BOOT} seconds of launch (R10).",
            f"Its last output:\n{self.tail()}",
            "listen on the port of the variable PORT, on all addresses",
        )

    def processes(self) -> list[int]:
        """The PIDs of its processes, without process 1."""
        return list(_descendants(self._child.pid))[1:]

    def wait(self) -> int:
        """Wait until the process exits; return its exit status."""
        return self._child.wait()

    def stop(self) -> tuple[int, float]:
        """Send SIGTERM to all its processes; return (exit status, seconds). Raise StackError if one does not exit."""
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
                f"It was killed, and its in-flight requests were lost. Its last output:\n{self.tail()}",
                "heroku config:set SHUTDOWN_GRACE=25",
            ) from None
        return status, time.monotonic() - started

    def kill(self) -> None:
        """Kill process 1, and with it all its processes."""
        self._child.kill()
        self._child.wait()


def _descendants(process: int) -> Iterator[int]:
    """All descendants of a process, parents first."""
    with contextlib.suppress(OSError):
        children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
        for child in map(int, children):
            yield child
            yield from _descendants(child)


@contextlib.contextmanager
def start(slug: Path, name: str, command: str, config: Mapping[str, str]) -> Iterator[Dyno]:
    """Run a command of the Procfile as dyno `name`, for example web.1, until the block ends."""
    port = free_port() if name.startswith("web.") else None
    Path(environment.APP).mkdir(exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix="tripod-dyno-"))
    variables = [f"{key}={value}" for key, value in environment.dyno(name, config, port).items()]
    process = ["env", "-i", *variables, "bash", "-c", _PROFILE, command]
    isolate = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--", "sh", "-c", _SETUP, name]
    try:
        with memory.limit() as limit, open(scratch / "log", "w") as log:
            (scratch / "layer").mkdir()
            environ = {"PATH": os.defpath + ":/usr/sbin:/sbin", "SLUG": str(slug), "SCRATCH": str(scratch / "layer")}
            child = subprocess.Popen(
                [*limit.prefix, *isolate, *process],
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
