"""Turn raw output of a server, and of the programs that it starts, into JSON lines.

Python code logs JSON through deploy/logs.py. Lines of the server itself, of child processes, of C libraries and of
faulthandler have other formats; they reach the descriptors 1 and 2. capture() forks: the child process continues and
becomes the server, with pipes in place of these descriptors, and the parent process executes this file. It reads the
pipes until the server exits, and exits with the server's status.

The parent is the process that the container or systemd started. If process 1 of a container exits, the kernel kills all
others at once, and the last lines of the server, such as the reason of a failed start, would be lost in the pipe.
Therefore it also does what process 1 has to do: it passes signals on and reaps orphaned processes.
"""

import contextlib
import fcntl
import json
import os
import re
import select
import signal
import sys
import time

FORWARDED = [signal.Signals[f"SIG{name}"] for name in "HUP INT QUIT TERM USR1 USR2 WINCH TTIN TTOU".split()]

# Bytes. Longer lines are split, so that the memory of this process is limited. Docker logs lines of any length.
MAX_LINE = 64 * 1024

# "[error]" of Nginx and "[core:error]" of Apache.
_LEVEL = re.compile(r"\[(?:\w+:)?(emerg|alert|crit|error|warn|notice|info|debug)\]")
_LEVELS = {"emerg": "CRITICAL", "alert": "CRITICAL", "crit": "CRITICAL", "warn": "WARNING", "notice": "INFO"}

MASK = "***"
_USER_IN_URL = re.compile(r'(?<=://)[^/\s"@]*(?=@)')
_QUERY = re.compile(r'(?<=\?)[^\s"\\]+')


def masked_path_pattern(value: str) -> str:
    """A regular expression for the paths of MASKED_PATHS, anywhere in a URL, each character percent-encoded or not."""
    paths = value.replace(",", " ").split()
    encoded = ("".join(f"(?:{re.escape(char)}|%(?i:{ord(char):02x}))" for char in path) for path in paths)
    return f"(?:{'|'.join(encoded)})" if paths else "(?!)"


# From the environment: this file also runs alone.
_SECRET_IN_PATH = re.compile(f"({masked_path_pattern(os.environ.get('MASKED_PATHS', ''))})" + r'[^\s"\\?#]+')


def mask(text: str, queries: bool = False) -> str:
    """The text of a log line without secrets: what follows MASKED_PATHS, and names and passwords in URLs.

    queries: also without query strings, as in the access log. What an app logs keeps them.
    """
    text = _SECRET_IN_PATH.sub(rf"\1{MASK}", _USER_IN_URL.sub(MASK, text))
    return _QUERY.sub(MASK, text) if queries else text


def capture(name: str, *descriptors: int) -> None:
    """Continue in a child process, in which each descriptor is a pipe; the lines get the logger `name`."""
    outlets = []  # what the parent inherits, for each descriptor: the pipe, and what the descriptor was
    for descriptor in descriptors:
        log = os.dup(descriptor)
        reader, writer = os.pipe()
        # In the parent too: what a program writes to /proc/1/fd/1, the output of the container, becomes JSON.
        os.dup2(writer, descriptor)
        os.close(writer)
        outlets += [reader, log]
    # A signal that arrives before the parent can pass it on waits until then.
    signal.pthread_sigmask(signal.SIG_BLOCK, FORWARDED)
    child = os.fork()
    if child:
        for descriptor in outlets:
            os.set_inheritable(descriptor, True)
        # -I and -S: a small process, independent of the app's environment.
        os.execv(sys.executable, [sys.executable, "-I", "-S", __file__, name, *map(str, (child, *outlets))])
    for descriptor in outlets:
        os.close(descriptor)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, FORWARDED)


def write(descriptor: int, data: bytes) -> None:
    """Write whole lines, which never mix with those of other processes. Never raises: a log must not stop the app.

    The kernel may interrupt a write of more than 4 KiB (PIPE_BUF) between two other processes' lines if the pipe is
    full: the lock of the pipe prevents that.
    """
    data = data.replace(b"\x7f", b"\\u007f")  # the one control character that JSON permits in a string
    with contextlib.suppress(OSError):
        fcntl.lockf(descriptor, fcntl.LOCK_EX)
    try:
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[os.write(descriptor, rest) :]
            except BlockingIOError:  # another process has made the pipe non-blocking
                select.select([], [descriptor], [])
    except OSError:
        pass  # the reader of the log is gone
    finally:
        with contextlib.suppress(OSError):
            fcntl.lockf(descriptor, fcntl.LOCK_UN)


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def as_json(line: bytes, name: str) -> bytes:
    """The line as a JSON object in ASCII, which contains no control character. JSON objects stay as they are."""
    text = line.decode("utf-8", "backslashreplace")
    if line.startswith(b"{"):
        with contextlib.suppress(ValueError, RecursionError):
            fields = json.loads(text, parse_constant=_no_constant)
            return mask(text if text.isascii() and text.isprintable() else json.dumps(fields)).encode()
    found = _LEVEL.search(text, 0, 200)
    fields = {
        "time": time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime()),
        "level": _LEVELS.get(found[1], found[1].upper()) if found else "INFO",
        "logger": name,
        "message": mask(text, queries=True),
        "request_id": "",
    }
    return json.dumps(fields).encode()


class _Lines:
    """Splits the raw output into lines and writes them as JSON."""

    def __init__(self, name: str, log: int):
        self._name, self._log, self._rest = name, log, b""

    def feed(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) >= MAX_LINE:
            lines.append(self._rest)
            self._rest = b""
        written = [as_json(line.rstrip(b"\r"), self._name) + b"\n" for line in lines if line.strip()]
        if written:
            write(self._log, b"".join(written))

    def end(self) -> None:
        self.feed(b"\n")


def _reap(server: int) -> int | None:
    """Reap every process that has exited. Return the exit status of the server if it is among them."""
    status = None
    with contextlib.suppress(ChildProcessError):
        while (exited := os.waitpid(-1, os.WNOHANG))[0]:
            if exited[0] == server:
                status = os.waitstatus_to_exitcode(exited[1])
    return 128 - status if status and status < 0 else status  # 128 + the signal, as in a shell


def relay(name: str, server: int, outlets: dict[int, int]) -> int:
    """Pass the output of the server on, as JSON lines, until it exits, and return its exit status.

    `outlets` are the descriptors that it is written to, by those that it is read from.
    """

    def forward(number, frame):
        with contextlib.suppress(ProcessLookupError):
            os.kill(server, number)

    wakeup, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    for number in FORWARDED:
        signal.signal(number, forward)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, FORWARDED)

    lines = {reader: _Lines(name, log) for reader, log in outlets.items()}
    while (status := _reap(server)) is None:
        for ready in select.select([*lines, wakeup], [], [])[0]:  # no pipe ends: this process has their other sides
            data = os.read(ready, MAX_LINE)
            if ready != wakeup:
                lines[ready].feed(data)
    for reader, last in lines.items():
        os.set_blocking(reader, False)
        with contextlib.suppress(BlockingIOError):
            while data := os.read(reader, MAX_LINE):
                last.feed(data)
        last.end()
    return status


if __name__ == "__main__":
    name, (server, *numbers) = sys.argv[1], map(int, sys.argv[2:])
    sys.stderr = open(numbers[-1], "w", closefd=False)  # for an exception here
    sys.exit(relay(name, server, dict(zip(numbers[::2], numbers[1::2], strict=True))))
