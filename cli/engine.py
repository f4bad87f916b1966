"""The Docker engine with Compose v2 and buildx: find it, install it from the distribution's packages, start it."""

import getpass
import os
import platform
import shlex
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from cli import apt, console, processes, sudo
from cli.console import say
from deploy.errors import StackError

LOCAL_SOCKET = "unix:///var/run/docker.sock"
# Data of an engine: of a package, of the snap, of a rootless engine.
DATA = (Path("/var/lib/docker"), Path("/var/snap/docker"), Path.home() / ".local/share/docker")
ENGINE_LOG = "/var/log/dockerd.log"
START_LIMIT = 60  # seconds; the first start takes about 3
ADMIN_GROUP = "docker"  # its members may use the engine, and can thereby act as root

# The engine of Debian 12 is too old. That of trixie (Debian 13) can be installed and runs there. With a priority of
# 100, below the 500 of the machine's own release, apt takes from trixie only the packages that are requested as
# NAME/trixie, and newer versions of their dependencies (apt_preferences(5)).
NEWER_SUITE = "trixie"
NEWER_SOURCE = Path("/etc/apt/sources.list.d/tripod-trixie.sources")
NEWER_PIN = Path("/etc/apt/preferences.d/tripod-trixie")


class AccessDenied(StackError):
    """An engine is running, but this user may not use it. The stack's data may be there."""


@dataclass(frozen=True)
class Recipe:
    """The packages of each part, and the suite to take them from if it is not the machine's own."""

    parts: dict
    suite: str = ""

    def packages(self, missing):
        """Return the packages to install. Parts that are installed are left out: an upgrade stops all containers."""
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
    """Return how to install an engine on this system; None if ./stack cannot."""
    system, major = os_release.get("ID"), int(os_release.get("VERSION_ID", "0").split(".")[0])
    if system == "debian" and major == 12:
        return Recipe(_DEBIAN, suite=NEWER_SUITE)
    if system == "debian" and major >= 13:
        return Recipe(_DEBIAN)
    if system == "ubuntu" and major >= 22:
        return Recipe(_UBUNTU)
    return None


def exists():
    """Whether this machine has an engine, running or not, uses a remote one, or has the data of one."""
    has_client = shutil.which("docker") and (not _is_local() or platform.system() != "Linux")
    return bool(os.environ.get("DOCKER_HOST") or _dockerd() or has_client or any(path.exists() for path in DATA))


def ensure(assume_yes=False):
    """Make sure that an engine works: install and start it if necessary. assume_yes: install without a question."""
    missing = missing_parts()
    if missing:
        _install(missing, assume_yes)
    error = _error()
    if error and not _is_access_denied(error):
        _start(error)
        error = _error()
    if error:
        _enter_group(error, is_new=bool(missing))


def require():
    """Raise StackError unless an engine works. Installs nothing, in contrast to `ensure`."""
    missing = missing_parts()
    error = f"This machine lacks: {', '.join(missing)}." if missing else _error()
    if _is_access_denied(error):
        raise _access_denied(error)
    if error:
        fix = "./stack up   (installs and starts what is missing)"
        raise StackError("There is no working Docker engine.", error, fix)


def missing_parts():
    """Return which of engine, compose and buildx this machine lacks."""
    plugins = [name for name in ("compose", "buildx") if console.capture(["docker", name, "version"]).returncode]
    return plugins if _has_engine() else ["engine", *plugins]


def _has_engine():
    """Whether there is a client, and an engine that is running or can be started."""
    if not shutil.which("docker"):
        return False
    if not _is_local() or _dockerd() or platform.system() != "Linux":  # elsewhere, the engine is in a virtual machine
        return True
    error = _error()
    return not error or _is_access_denied(error)


def endpoint():
    """Return the address of the engine, from DOCKER_HOST or Docker's current context."""
    done = console.capture(["docker", "context", "inspect", "--format", "{{.Endpoints.docker.Host}}"])
    return done.stdout.strip() or LOCAL_SOCKET


def _is_local():
    """Whether the engine is this machine's own, which ./stack may start."""
    return endpoint() == LOCAL_SOCKET


def _dockerd():
    return shutil.which("dockerd", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin")


def _error():
    """Return why the engine does not answer; empty if it does."""
    # Not `docker info`: some versions exit with 0 although no engine answers.
    done = console.capture(["docker", "version", "--format", "{{.Server.Version}}"], timeout=20)
    return "" if done.returncode == 0 else (done.stderr.strip() or done.stdout.strip() or console.NO_OUTPUT)


def _is_access_denied(error):
    return "permission denied" in error.lower()


# --- installation ---------------------------------------------------------------------------------------------


def _install(missing, assume_yes):
    """Install the missing parts from the distribution's packages."""
    say(f"This machine lacks: {', '.join(missing)}.")
    instructions = _require_recipe()
    packages, files = instructions.packages(missing), _new_files(instructions.suite)
    if sudo.is_available():  # else `require` raises an error before anything is asked
        sudo.confirm_changes(_describe_changes(packages, files, missing), assume_yes)
    sudo.require("install a Docker engine")
    for path, text in files.items():
        sudo.write_file(path, text)
    apt.install(packages)
    remaining = missing_parts()
    if remaining:
        raise StackError(
            f"Docker was installed, but this machine still lacks: {', '.join(remaining)}.",
            f"{shutil.which('docker')} does not find it. It may be another Docker than that of the packages.",
            "docker compose version; docker buildx version   (show the error)",
        )


def _require_recipe():
    os_release = read_os_release()
    instructions = recipe(os_release)
    if instructions is None:
        system = os_release.get("PRETTY_NAME", platform.system())
        raise StackError(
            f"./stack cannot install Docker on {system}.",
            "It can on Debian 12 or newer and on Ubuntu 22.04 or newer.",
            "install Docker with Compose v2 and buildx as its manual describes, then: ./stack up",
        )
    return instructions


def _describe_changes(packages, files, missing):
    notes = {
        NEWER_PIN: "no other package is taken from trixie unless one of these needs it",
        NEWER_SOURCE: f"trixie, from the mirror {_newer_mirror()}" if files else "",
    }
    changes = [f"write {path}   ({notes[path]})" for path in files]
    changes.append(f"install the packages {' '.join(packages)}, and their dependencies")
    if "engine" in missing:
        changes.append("start the service docker, now and at each boot" if _has_systemd() else "start dockerd, now")
    return changes


def read_os_release(path=Path("/etc/os-release")):
    """Return the fields of os-release(5); empty on a system without it."""
    if not path.is_file():
        return {}
    pairs = (line.split("=", 1) for line in path.read_text().splitlines() if "=" in line and line[0] != "#")
    return {name: "".join(shlex.split(value)) for name, value in pairs}


def _new_files(suite):
    """Return the files, by path, that let apt use a newer suite of the machine's own mirror."""
    if not suite or apt.find_debian(apt.read_sources(), suite):
        return {}
    source = _own_source()
    if source is None:
        raise StackError(
            f"apt has no source of Debian, so there is no mirror to take {suite} from.",
            f"The Docker of this release is too old, so that of {suite} is needed.",
            "add a source of Debian's main archive to /etc/apt/sources.list.d, then: ./stack up",
        )
    return {NEWER_PIN: newer_pin(suite), NEWER_SOURCE: newer_source(source, suite)}


def _own_source():
    return apt.find_debian(apt.read_sources(), read_os_release().get("VERSION_CODENAME"))


def _newer_mirror():
    return urlsplit(_own_source().uri).hostname  # not the URI, which may contain a password


def newer_pin(suite):
    """Return the apt preferences of the newer suite."""
    return (
        f"# Written by ./stack: packages come from {suite} only if they are requested as NAME/{suite}.\n"
        f"Package: *\nPin: release n={suite}\nPin-Priority: 100\n"
    )


def newer_source(source, suite):
    """Return the apt source of the newer suite: the same mirror, the same keys."""
    signed = f"Signed-By: {source.signed_by}\n" if source.signed_by else ""
    return f"# Written by ./stack, for Docker; see {NEWER_PIN}.\n" + (
        f"Types: deb\nURIs: {source.uri}\nSuites: {suite}\nComponents: main\n{signed}"
    )


# --- start ----------------------------------------------------------------------------------------------------


def _has_systemd():
    return Path("/run/systemd/system").is_dir()


def _start(error):
    """Start the machine's own engine: with systemd if it is running, else directly."""
    if not _is_local() or not _dockerd():
        fix = "start the engine, Docker Desktop for example, then: ./stack up"
        raise StackError(f"The Docker engine at {endpoint()} does not answer.", error, fix)
    sudo.require("start the Docker engine")
    if _has_systemd():
        fix = sudo.shell_line("journalctl -u docker -n 50")
        console.run("starting the Docker engine", sudo.command(["systemctl", "start", "docker"]), fix=fix)
    else:
        _start_without_init()


def _start_without_init():
    """Start dockerd in its own session. Not with `service`, whose call of ulimit fails in containers."""
    step = console.Step("starting the Docker engine")
    script = f"setsid {_dockerd()} </dev/null >>{ENGINE_LOG} 2>&1 & echo $!"
    pid = console.capture(sudo.command(["sh", "-c", script])).stdout.strip()
    while (
        (error := _error())
        and not _is_access_denied(error)
        and step.seconds < START_LIMIT
        and processes.is_running(pid)
    ):
        step.tick()
        time.sleep(0.3)
    if error and not _is_access_denied(error):
        step.end("failed")
        log = console.capture(sudo.command(["tail", "-n", "4", ENGINE_LOG])).stdout
        fix = sudo.shell_line(f"tail -n 100 {ENGINE_LOG}")
        raise StackError("The Docker engine does not start.", log.strip() or error, fix)
    step.end(remark=f"log: {ENGINE_LOG}")


def _enter_group(error, is_new):
    """Give this user access to the engine, which is running: ask to join the group if ./stack installed it."""
    user = getpass.getuser()
    if is_new and user not in _group_members() and console.is_interactive():
        say(f"Members of the group {ADMIN_GROUP} may use the engine. They can act as root on this machine.")
        if console.confirm(f"Add {user} to the group {ADMIN_GROUP}?"):
            console.capture(sudo.command(["usermod", "-aG", ADMIN_GROUP, user]))
    if user in _group_members() and shutil.which("sg") and "TRIPOD_REENTERED" not in os.environ:
        # A session does not get new groups; `sg` runs ./stack again with the group.
        os.environ["TRIPOD_REENTERED"] = "1"
        os.execvp("sg", ["sg", ADMIN_GROUP, "-c", shlex.join([sys.executable, *sys.argv])])
    raise _access_denied(error)


def _group_members():
    import grp  # not at the top: only Unix systems have it

    try:
        return grp.getgrnam(ADMIN_GROUP).gr_mem
    except KeyError:
        return []


def _access_denied(error):
    user = getpass.getuser()
    join = "" if user in _group_members() else f"{sudo.shell_line(f'usermod -aG {ADMIN_GROUP} {user}')} && "
    return AccessDenied(
        f"The Docker engine is running, but the user {user} may not use it.",
        error,
        f"{join}newgrp {ADMIN_GROUP}   (members can act as root on this machine)\n./stack up",
    )
