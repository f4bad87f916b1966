"""The image under all others: taken from the engine, else pulled, else made of Debian's packages."""

import datetime
import re
import shutil
import tempfile
from urllib.parse import urlsplit

from cli import apt, console, engine, sudo
from cli.console import say
from deploy.errors import StackError

SUITE = "trixie"
CAN_BE_MADE = re.compile(rf"(^|/)debian:{SUITE}(-slim)?$")
PULL_SILENCE = 30  # seconds for a registry's first word; without this an unreachable one hangs for minutes
PULL_LIMIT = 600  # seconds for the 30 MB, once they come

LOCAL_CAS = "/usr/local/share/ca-certificates"


def ensure_for(config):
    """Make sure that the engine has the base image of this project."""
    ensure(config["services"]["web"]["build"]["args"]["BASE_IMAGE"])


def ensure(name):
    """Make sure that the engine has the base image of this name."""
    if console.capture(["docker", "image", "inspect", name]).returncode == 0:
        return
    try:
        pull = ["docker", "pull", name]
        console.run(f"pulling {name}", pull, fix=" ".join(pull), timeout=PULL_LIMIT, first_output_timeout=PULL_SILENCE)
    except StackError as problem:
        say(f"  No registry gave it: {problem.cause.splitlines()[-1]}")
        _make(name, refusal=problem)


def _make(name, refusal):
    """Make the image from the packages of the machine's own mirror."""
    lines = mirror_lines(apt.read_sources(), engine.read_os_release())
    if not CAN_BE_MADE.search(name) or not lines:
        raise StackError(
            f"The base image {name} is not in the engine and cannot be pulled.",
            f"{refusal.cause}\nEvery image of the stack is built on it. Only debian:{SUITE}-slim "
            "can be made here instead, and only on a host whose apt has a mirror of Debian.",
            f"{refusal.fix}\nor name one that you have:  BASE_IMAGE=registry.example/debian:trixie-slim ./stack up",
        )
    sudo.require("make the base image")
    if not shutil.which("mmdebstrap"):
        apt.install(["mmdebstrap"])
    with tempfile.TemporaryDirectory(prefix="tripod-base-") as folder:
        archive = f"{folder}/base.tar"
        console.run(
            f"making {name} from Debian's packages",
            mmdebstrap(archive, lines),
            fix=f"{sudo.shell_line('apt-get update')}   (shows whether the mirrors answer)\n./stack up",
        )
        console.run(
            "importing it",
            ["docker", "import", *_changes(name, lines), archive, name],
            fix="docker info   (does the engine answer?)\n"
            "df -h /var/lib/docker   (is there room for the image?)\n./stack up",
        )


def mirror_lines(sources, os_release):
    """apt's lines for the image's suites, on the mirrors of the host; empty without a Debian mirror."""
    release = os_release.get("VERSION_CODENAME")
    main = apt.find_debian(sources, SUITE) or apt.find_debian(sources, release)
    security = apt.find_debian(sources, f"{release}-security")
    lines = [f"deb {main.uri} {suite} main" for suite in (SUITE, f"{SUITE}-updates")] if main else []
    return lines + ([f"deb {security.uri} {SUITE}-security main"] if main and security else [])


def mmdebstrap(archive, lines):
    """The command that makes the smallest Debian with the host's own certificate authorities in it."""
    unread = [f"--dpkgopt=path-exclude=/usr/share/{folder}/*" for folder in ("man", "doc", "locale", "info")]
    return sudo.command(
        [
            "mmdebstrap",
            "--variant=minbase",
            "--include=ca-certificates",
            '--aptopt=Acquire::Languages "none"',
            *unread,
            "--dpkgopt=path-include=/usr/share/doc/*/copyright",
            f'--customize-hook=test ! -d {LOCAL_CAS} || cp -r {LOCAL_CAS}/. "$1{LOCAL_CAS}/"',
            '--customize-hook=chroot "$1" update-ca-certificates',
            SUITE,
            archive,
            *lines,
        ]
    )


def _changes(name, lines):
    # Only the host of each mirror: an address may hold a password.
    hosts = sorted({urlsplit(line.split()[1]).hostname for line in lines})
    origin = f"{name}, made by ./stack from the packages of {' and '.join(hosts)} on {datetime.date.today()}"
    return ["--change", 'CMD ["bash"]', "--change", f'LABEL org.opencontainers.image.description="{origin}"']
