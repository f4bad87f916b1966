"""Acting as root: directly, or by sudo."""

import getpass
import os
import shlex
import shutil
import subprocess
import sys

from cli import console
from deploy.errors import StackError

# sudo forgets the environment; packages and images must be fetched through the same proxy all the same.
KEPT = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")


def require(purpose):
    """Make sure that the next commands may run as root; sudo's password is asked for on a terminal."""
    if _prefix() == ["sudo"]:
        console.say(f"To {purpose}, ./stack needs your password for sudo.")
        subprocess.run(["sudo", "-v"], check=False)
    if _prefix() is None or _prefix() == ["sudo"] and subprocess.run(["sudo", "true"]).returncode:
        raise StackError(
            f"./stack must {purpose} and may not: {getpass.getuser()} is not root and has no sudo here.",
            "Packages and services of the system belong to root.",
            f"su -c './stack up'   (once, as root)\nor ask an administrator to {purpose}.",
        )


def is_available():
    """Whether `become` has a chance: this is root, or sudo is there for this user."""
    return _prefix() is not None


def _prefix():
    """What makes a command run as root: nothing for root, else sudo; None if there is no way."""
    if os.geteuid() == 0:
        return []
    if not shutil.which("sudo"):
        return None
    if console.capture(["sudo", "-n", "true"]).returncode == 0:
        return ["sudo", "-n"]
    return ["sudo"] if sys.stdin.isatty() else None


def command(argv):
    """The command line that does this as root. `become` comes first."""
    kept = [f"{name}={os.environ[name]}" for name in KEPT if name in os.environ]
    return [*(_prefix() or []), "env", "DEBIAN_FRONTEND=noninteractive", *kept, *argv]


def shell_line(line):
    """The line as a person types it here to run it as root: root needs no sudo, and Debian may have none."""
    if os.geteuid() == 0:
        return line
    return f"sudo {line}" if shutil.which("sudo") else f"su -c {shlex.quote(line)}"


def write(path, text):
    """Write a small configuration file that belongs to root."""
    console.say(f"Writing {path}.")
    script = 'printf %s "$2" > "$1" && chmod 644 "$1"'
    written = console.capture(command(["sh", "-c", script, "sh", str(path), text]))
    if written.returncode:
        raise StackError(f"{path} cannot be written.", written.stderr, shell_line(f"touch {path}"))
