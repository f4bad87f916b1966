"""What ./stack says: steps with progress, and problems in three parts."""

import collections
import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from deploy.errors import StackError

ROOT = Path(__file__).resolve().parents[1]
STATE = ROOT / ".stack"
LOG = STATE / "log"
LOG_LIMIT = 5_000_000  # bytes; a fuller one starts anew

HEARTBEAT = 15  # seconds between two lines of a step where nothing can be overwritten: a CI log, a pipe
TAIL = 12  # lines of a failed command's output that are worth showing at once; the rest is in LOG


def say(text=""):
    """Print one line for the person in front of it."""
    print(text, flush=True)


def state_folder():
    """The folder for what ./stack writes. It hides itself from git, so no other file has to know of it."""
    STATE.mkdir(exist_ok=True)
    hidden = STATE / ".gitignore"
    if not hidden.exists():
        hidden.write_text("*\n")
    return STATE


class Step:
    """One line that tells what happens and for how long it has been happening."""

    def __init__(self, title):
        self.title, self.started, self.live = title, time.monotonic(), sys.stdout.isatty()
        self.next_line = self.started + (0 if self.live else HEARTBEAT)
        if not self.live:
            say(f"- {title} ...")

    @property
    def seconds(self):
        return time.monotonic() - self.started

    def tick(self, detail=""):
        """Show that time passes, and the newest line of what is being done."""
        if time.monotonic() < self.next_line:
            return
        self.next_line = time.monotonic() + (0.2 if self.live else HEARTBEAT)
        text = f"- {self.title} ... {self.seconds:.0f} s  {detail}".rstrip()
        if self.live:
            self._overwrite(text[: os.get_terminal_size(sys.stdout.fileno()).columns - 1])
        else:
            say(text)

    def end(self, mark="ok", remark=""):
        """Leave one line that says how it went."""
        if self.live:
            self._overwrite("")
        say(f"- {self.title}: {mark} ({self.seconds:.1f} s)" + (f" {remark}" if remark else ""))

    @staticmethod
    def _overwrite(text):
        sys.stdout.write(f"\r\033[K{text}")
        sys.stdout.flush()


@contextlib.contextmanager
def step(title):
    """A Step around what is done in this process; a StackError ends it as failed, Ctrl-C as stopped."""
    shown = Step(title)
    try:
        yield shown
    except BaseException as error:
        shown.end("failed" if isinstance(error, StackError) else "stopped")
        raise
    shown.end()


def capture(argv, env=None, timeout=60):
    """Ask something that is answered at once; returns the completed process, its output captured."""
    try:
        return subprocess.run(
            argv, env=env, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout
        )
    except FileNotFoundError as error:
        return subprocess.CompletedProcess(argv, 127, "", str(error))
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(argv, 124, "", f"{argv[0]} did not answer within {timeout} s")


def run(title, argv, *, fix, env=None, timeout=None, first_output_timeout=None, keep_open=()):
    """Run a command as one step with progress; a failure is a StackError that shows the end of its output.

    limit: the seconds it may take. silence: the seconds in which its first line of output must come. hold: files, by
    their descriptors, that it keeps open, and with them their locks, even if ./stack is killed.
    """
    step = Step(title)
    child = subprocess.Popen(
        argv,
        env=env,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        pass_fds=keep_open,
    )
    tail = collections.deque(maxlen=TAIL)
    reader = threading.Thread(target=_read, args=(child.stdout, tail, argv), daemon=True)
    reader.start()
    try:
        _wait(child, step, tail, timeout, first_output_timeout)
    except BaseException:
        _finish(child, signal.SIGINT)
        step.end("stopped")
        raise
    reader.join(timeout=2)  # a daemon that the command left behind may hold the pipe open for ever
    if child.returncode:
        step.end("failed")
        raise StackError(
            f"'{title}' failed with status {child.returncode}.",
            "\n".join(tail) or "It said nothing.",
            f"{fix}\n(the whole output is in {LOG.relative_to(ROOT)})",
        )
    step.end()


def _wait(child, step, tail, timeout, first_output_timeout):
    while child.poll() is None:
        step.tick(tail[-1] if tail else "")
        if (
            timeout
            and step.seconds > timeout
            or first_output_timeout
            and not tail
            and step.seconds > first_output_timeout
        ):
            tail.append(f"no end after {step.seconds:.0f} s: given up")
            _finish(child, signal.SIGTERM)
        try:
            child.wait(timeout=0.1)
        except subprocess.TimeoutExpired:
            continue


def _finish(child, how):
    """End a child and wait as long as it needs: apt must not be cut off in the middle of a package."""
    # What sudo runs belongs to root and cannot be told from here; Ctrl-C has reached it by the terminal.
    with contextlib.suppress(PermissionError):
        child.send_signal(how)
    child.wait()


def _read(stream, tail, argv):
    with stream, _open_log() as log:
        print("$", *argv, file=log)
        for line in stream:
            print(line, end="", file=log)
            if line.strip():
                tail.append(line.strip())


def _open_log():
    try:
        state_folder()
        LOG.touch(mode=0o600)  # commands may name a proxy with its password
        return LOG.open("a" if LOG.stat().st_size < LOG_LIMIT else "w", buffering=1)
    except OSError:  # somebody else's folder: what was asked for matters more than its log
        return open(os.devnull, "w")
