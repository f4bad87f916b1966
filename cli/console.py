"""Output of ./stack: lines, steps with progress, questions; and the commands that it runs."""

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
LOG_LIMIT = 5_000_000  # bytes; a larger log is truncated before the next command

PROGRESS_INTERVAL = 15  # seconds between two progress lines of a step, if stdout is not a terminal
LOG_TAIL = 25  # last lines of a log that an error shows
TAIL = 12  # lines of a failed command's output that its error shows; LOG has all of them

NO_OUTPUT = "(no output)"


def say(text=""):
    """Print one line."""
    print(text, flush=True)


def is_interactive():
    """Whether a user can answer questions."""
    return sys.stdin.isatty()


def confirm(question):
    """Ask a question on the terminal. Only `y` and `yes` confirm."""
    return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")


def state_folder():
    """Make and return the folder for the files that ./stack writes. It contains its own .gitignore."""
    STATE.mkdir(exist_ok=True)
    ignore = STATE / ".gitignore"
    if not ignore.exists():
        ignore.write_text("*\n")
    return STATE


class Step:
    """One line of output that shows what is being done and for how long."""

    def __init__(self, title):
        self.title, self.started, self.live = title, time.monotonic(), sys.stdout.isatty()
        self.next_line = self.started + (0 if self.live else PROGRESS_INTERVAL)
        if not self.live:
            say(f"- {title} ...")

    @property
    def seconds(self):
        """Seconds since the start of the step."""
        return time.monotonic() - self.started

    def tick(self, detail=""):
        """Show the elapsed time and a detail, such as the newest line of a command's output."""
        if time.monotonic() < self.next_line:
            return
        self.next_line = time.monotonic() + (0.2 if self.live else PROGRESS_INTERVAL)
        text = f"- {self.title} ... {self.seconds:.0f} s  {detail}".rstrip()
        if self.live:
            self._overwrite(text[: os.get_terminal_size(sys.stdout.fileno()).columns - 1])
        else:
            say(text)

    def end(self, result="ok", remark=""):
        """Print the line that stays: the result and the duration."""
        if self.live:
            self._overwrite("")
        say(f"- {self.title}: {result} ({self.seconds:.1f} s)" + (f" {remark}" if remark else ""))

    @staticmethod
    def _overwrite(text):
        sys.stdout.write(f"\r\033[K{text}")
        sys.stdout.flush()


@contextlib.contextmanager
def step(title):
    """Show a block of code as a Step: a StackError ends it as failed, Ctrl-C as stopped."""
    current = Step(title)
    try:
        yield current
    except BaseException as error:
        current.end("failed" if isinstance(error, StackError) else "stopped")
        raise
    current.end()


def capture(argv, env=None, timeout=60):
    """Run a short command without a step and return the completed process with its output.

    A missing program gives status 127, a timeout 124, as in a shell.
    """
    try:
        return subprocess.run(
            argv, env=env, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout
        )
    except FileNotFoundError as error:
        return subprocess.CompletedProcess(argv, 127, "", str(error))
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(argv, 124, "", f"{argv[0]} did not answer within {timeout} s")


def run(title, argv, *, fix, env=None, timeout=None, first_output_timeout=None, keep_open=()):
    """Run a command as one step with progress. Raise a StackError with the end of its output if it fails.

    timeout: seconds the command may take. first_output_timeout: seconds until its first line of output. keep_open: file
    descriptors that the command inherits; their locks are then held until it exits, even if ./stack is killed.
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
    reader = threading.Thread(target=_read_output, args=(child.stdout, tail, argv), daemon=True)
    reader.start()
    try:
        _wait(child, step, tail, timeout, first_output_timeout)
    except BaseException:
        _end(child, signal.SIGINT)
        step.end("stopped")
        raise
    reader.join(timeout=2)  # a daemon that the command started may keep the pipe open
    if child.returncode:
        step.end("failed")
        raise StackError(
            f"'{title}' failed with status {child.returncode}.",
            "\n".join(tail) or NO_OUTPUT,
            f"{fix}\n(the complete output is in {LOG.relative_to(ROOT)})",
        )
    step.end()


def _wait(child, step, tail, timeout, first_output_timeout):
    while child.poll() is None:
        step.tick(tail[-1] if tail else "")
        if _is_over(step.seconds, timeout) or not tail and _is_over(step.seconds, first_output_timeout):
            tail.append(f"timed out after {step.seconds:.0f} s")
            _end(child, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(timeout=0.1)


def _is_over(seconds, limit):
    return bool(limit) and seconds > limit


def _end(child, signal_number):
    """Signal a child process and wait until it exits. No SIGKILL: apt must not be killed while it unpacks."""
    # A child of sudo belongs to root and cannot be signalled from here; Ctrl-C reaches it through the terminal.
    with contextlib.suppress(PermissionError):
        child.send_signal(signal_number)
    child.wait()


def _read_output(stream, tail, argv):
    with stream, _open_log() as log:
        print("$", *argv, file=log)
        for line in stream:
            print(line, end="", file=log)
            if line.strip():
                tail.append(line.strip())


def _open_log():
    try:
        state_folder()
        LOG.touch(mode=0o600)  # a command line may contain the password of a proxy
        return LOG.open("a" if LOG.stat().st_size < LOG_LIMIT else "w", buffering=1)
    except OSError:  # the folder belongs to another user; the command matters more than its log
        return open(os.devnull, "w")
