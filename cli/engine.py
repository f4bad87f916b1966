"""The Docker engine with Compose v2 and buildx: found, or installed from the distribution, and started."""

import getpass
import grp
import os
import platform
import shlex
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from cli import apt, console, sudo
from cli.console import say
from deploy.errors import StackError

OWN_SOCKET = "unix:///var/run/docker.sock"
ENGINE_LOG = "/var/log/dockerd.log"
START_LIMIT = 60  # seconds; a cold first start takes about 3
GROUP = "docker"

# Debian 12's own engine is too old; trixie's installs and runs there. The pin keeps everything else where it
# is: 100 is below the 500 of the machine's own release, so trixie is used only for what is asked for as
# NAME/trixie and for what that needs in a newer version.
NEWER = "trixie"
NEWER_SOURCE = Path("/etc/apt/sources.list.d/tripod-trixie.sources")
NEWER_PIN = Path("/etc/apt/preferences.d/tripod-trixie")


class AccessDenied(StackError):
    """An engine runs here, but not for this user: for a person to decide, not a reason to do without one."""


@dataclass(frozen=True)
class Recipe:
    """The packages that give each part, and the suite to take them from if it is not the machine's own."""

    parts: dict
    suite: str = ""

    def packages(self, missing):
        """What to install. What is there stays as it is: a new engine would stop its containers."""
        names = [name for part in missing for name in self.parts[part]]
        suite = f"/{self.suite}" if self.suite else ""
        return [name + suite if name.startswith("docker") else name for name in names]


_DEBIAN = {
    "engine": ("docker.io", "docker-cli", "iptables"),
    "compose": ("docker-compose",),
    "buildx": ("docker-buildx",),
}
_UBUNTU = {
    "engine": ("docker.io",),
    "compose": ("docker-compose-v2",),
    "buildx": ("docker-buildx",),
}


def recipe(os_release):
    """How this system is given an engine; None if ./stack does not know how."""
    system, major = os_release.get("ID"), int(os_release.get("VERSION_ID", "0").split(".")[0])
    if system == "debian" and major == 12:
        return Recipe(_DEBIAN, suite=NEWER)
    if system == "debian" and major >= 13:
        return Recipe(_DEBIAN)
    if system == "ubuntu" and major >= 22:
        return Recipe(_UBUNTU)
    return None


def ensure():
    """A working engine, installed and started if need be."""
    missing = missing_parts()
    if missing:
        _install(missing)
    error = _error()
    if error and not _is_access_denied(error):
        _start(error)
        error = _error()
    if error:
        _enter_group(error, installed=bool(missing))


def require():
    """A working engine, or a StackError: only `up` and `test` change the machine."""
    missing = missing_parts()
    error = f"This machine lacks: {', '.join(missing)}." if missing else _error()
    if _is_access_denied(error):
        raise _access_denied(error)
    if error:
        fix = "./stack up   (installs and starts what is missing)"
        raise StackError("No working Docker engine is here.", error, fix)


def missing_parts():
    """Which of engine, compose and buildx this machine lacks."""
    plugins = [name for name in ("compose", "buildx") if console.capture(["docker", name, "version"]).returncode]
    return plugins if _has_engine() else ["engine", *plugins]


def _has_engine():
    """Whether there is an engine to talk to or to start, and a client to do it with."""
    if not shutil.which("docker"):
        return False
    return bool(not _is_own() or _dockerd() or not (error := _error()) or _is_access_denied(error))


def endpoint():
    """Where docker looks for its engine, by DOCKER_HOST or its context."""
    shown = console.capture(["docker", "context", "inspect", "--format", "{{.Endpoints.docker.Host}}"])
    return shown.stdout.strip() or OWN_SOCKET


def _is_own():
    """Whether it is the engine of this machine, which ./stack may start."""
    return endpoint() == OWN_SOCKET


def _dockerd():
    return shutil.which("dockerd", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin")


def _error():
    """Why the engine does not answer; empty if it does."""
    # Not `docker info`: some of its versions end with 0 although nobody answers.
    asked = console.capture(["docker", "version", "--format", "{{.Server.Version}}"], timeout=20)
    return "" if asked.returncode == 0 else (asked.stderr.strip() or asked.stdout.strip() or "It gave no reason.")


def _is_access_denied(error):
    """An engine that runs and does not want to talk to this user."""
    return "permission denied" in error.lower()


def _install(missing):
    """Install what is missing from the distribution's own packages."""
    say(f"This machine lacks: {', '.join(missing)}. Installing from its own distribution.")
    how = _recipe_or_problem()
    sudo.require("install a Docker engine")
    if how.suite:
        _add_newer_suite(how.suite)
    apt.install(how.packages(missing))
    left = missing_parts()
    if left:
        raise StackError(
            f"Docker is installed, but this is still missing: {', '.join(left)}.",
            f"{shutil.which('docker')} does not find it: perhaps it is not the Docker of the packages.",
            "docker compose version; docker buildx version   (what they say leads on)",
        )


def _recipe_or_problem():
    os_release = read_os_release()
    how = recipe(os_release)
    if how is None:
        raise StackError(
            "There is no complete Docker here, and ./stack cannot install it on "
            f"{os_release.get('PRETTY_NAME', platform.system())}.",
            "It knows Debian 12 and newer and Ubuntu 22.04 and newer.",
            "Install Docker with Compose v2 and buildx as your system's manual says; then: ./stack up",
        )
    return how


def read_os_release(path=Path("/etc/os-release")):
    """The fields of os-release(5); empty where there is none."""
    if not path.is_file():
        return {}
    pairs = (line.split("=", 1) for line in path.read_text().splitlines() if "=" in line and line[0] != "#")
    return {name: "".join(shlex.split(value)) for name, value in pairs}


def _add_newer_suite(suite):
    """Let apt see a newer suite of the mirror it already uses; nothing is upgraded by that."""
    sources = apt.read_sources()
    if apt.find_debian(sources, suite):
        return
    source = apt.find_debian(sources, read_os_release().get("VERSION_CODENAME"))
    if source is None:
        raise StackError(
            "apt's sources name no mirror of Debian, so a newer Docker cannot be found.",
            f"This release's own is too old, and {suite} has to come from a mirror that the machine trusts.",
            "Give /etc/apt/sources.list.d a source of Debian's main archive; then: ./stack up",
        )
    sudo.write(NEWER_PIN, newer_pin(suite))
    sudo.write(NEWER_SOURCE, newer_source(source, suite))


def newer_pin(suite):
    """The apt preferences that keep a newer suite out of the way."""
    return f"# By ./stack: only packages that are asked for as NAME/{suite} come from there.\n" + (
        f"Package: *\nPin: release n={suite}\nPin-Priority: 100\n"
    )


def newer_source(source, suite):
    """The apt source of a newer suite on the same mirror, trusted by the same keys."""
    signed = f"Signed-By: {source.signed_by}\n" if source.signed_by else ""
    return f"# By ./stack, for Docker; see {NEWER_PIN}.\n" + (
        f"Types: deb\nURIs: {source.uri}\nSuites: {suite}\nComponents: main\n{signed}"
    )


def _start(error):
    """Start the machine's engine, by systemd where that is the init system, else directly."""
    if not _is_own() or not _dockerd():
        raise StackError(f"The Docker engine at {endpoint()} does not answer.", error, "docker info")
    sudo.require("start the Docker engine")
    if Path("/run/systemd/system").is_dir():
        fix = sudo.shell_line("journalctl -u docker -n 50")
        console.run("starting the Docker engine", sudo.command(["systemctl", "start", "docker"]), fix=fix)
    else:
        _start_without_init()


def _start_without_init():
    """Start dockerd as a process of its own. Not by `service`, whose ulimit call fails in containers."""
    step = console.Step("starting the Docker engine")
    script = f"setsid {_dockerd()} </dev/null >>{ENGINE_LOG} 2>&1 & echo $!"
    pid = console.capture(sudo.command(["sh", "-c", script])).stdout.strip()
    while (error := _error()) and not _is_access_denied(error) and step.seconds < START_LIMIT and _is_alive(pid):
        step.tick()
        time.sleep(0.3)
    if error and not _is_access_denied(error):
        step.end("failed")
        log = console.capture(sudo.command(["tail", "-n", "4", ENGINE_LOG])).stdout
        fix = sudo.shell_line(f"tail -n 100 {ENGINE_LOG}")
        raise StackError("The Docker engine does not start.", log.strip() or error, fix)
    step.end(remark=f"log: {ENGINE_LOG}")


def _is_alive(pid):
    """Whether the process still runs; a dead one stays as a zombie where the init process collects none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _enter_group(error, installed):
    """The engine runs, but this user may not talk to it: join its group, if ./stack has just brought both."""
    user = getpass.getuser()
    if installed:
        say(f"Adding {user} to the group {GROUP}: it may use the engine, and so can act as root here.")
        console.capture(sudo.command(["usermod", "-aG", GROUP, user]))
    if user in grp.getgrnam(GROUP).gr_mem and shutil.which("sg") and "TRIPOD_REENTERED" not in os.environ:
        # A running session does not get a new group; `sg` gives it to the command that is started anew.
        os.environ["TRIPOD_REENTERED"] = "1"
        os.execvp("sg", ["sg", GROUP, "-c", shlex.join([sys.executable, *sys.argv])])
    raise _access_denied(error)


def _access_denied(error):
    user = getpass.getuser()
    return AccessDenied(
        f"The Docker engine runs, but {user} may not use it.",
        error,
        f"{sudo.shell_line(f'usermod -aG {GROUP} {user}')} && newgrp {GROUP}   (members can act as root)\n./stack up",
    )
