"""Commands that need root: run directly by root, with sudo by other users."""

import getpass
import os
import shlex
import shutil
import subprocess

from cli import console, proxy
from deploy.errors import StackError


class Declined(StackError):
    """The user did not allow a change of this machine."""


def confirm_changes(changes, assume_yes=False):
    """Print what will change on this machine, line by line. On a terminal, ask first, unless `assume_yes` is true."""
    console.say("./stack is going to change this machine:")
    for change in changes:
        console.say(f"  - {change}")
    if assume_yes or not console.is_interactive():
        return
    if not console.confirm("Continue?"):
        raise Declined("Not confirmed.", "Nothing was changed on this machine.", "./stack up --yes   (does not ask)")


def require(purpose):
    """Make sure that the next commands can run as root; on a terminal, sudo may ask for the password.

    purpose: what root is needed for, as a verb phrase for messages, such as "install a Docker engine".
    """
    if _prefix() == ["sudo"]:
        console.say(f"sudo needs your password to {purpose}.")
        subprocess.run(["sudo", "-v"], check=False)
    if _prefix() is None or _prefix() == ["sudo"] and subprocess.run(["sudo", "true"]).returncode:
        raise StackError(
            f"The user {getpass.getuser()} cannot {purpose}.",
            "This needs root, and sudo is not installed or does not allow it.",
            f"su -c './stack up'   (once, as root)\nor ask an administrator to {purpose}",
        )


def is_available():
    """Whether this user is root, or can try sudo."""
    return _prefix() is not None


def _prefix():
    """Return the words before a command that must run as root; None if there is no way to become root."""
    if os.geteuid() == 0:
        return []
    if not shutil.which("sudo"):
        return None
    if console.capture(["sudo", "-n", "true"]).returncode == 0:
        return ["sudo", "-n"]
    return ["sudo"] if console.is_interactive() else None


def command(argv):
    """Return the command line that runs `argv` as root. Call `require` before."""
    # sudo clears the environment, but apt and docker need the proxy.
    proxies = [f"{name}={value}" for name, value in proxy.inherited(os.environ).items()]
    return [*(_prefix() or []), "env", "DEBIAN_FRONTEND=noninteractive", *proxies, *argv]


def shell_line(line):
    """Return the line for a shell that runs `line` as root: with sudo, or with su where sudo is not installed."""
    if os.geteuid() == 0:
        return line
    return f"sudo {line}" if shutil.which("sudo") else f"su -c {shlex.quote(line)}"


def write_file(path, text):
    """Write a small configuration file that belongs to root."""
    script = 'printf %s "$2" > "$1" && chmod 644 "$1"'
    done = console.capture(command(["sh", "-c", script, "sh", str(path), text]))
    if done.returncode:
        raise StackError(f"{path} cannot be written.", done.stderr, shell_line(f"touch {path}"))
    console.say(f"- wrote {path}")
