"""The base image of all images: use the engine's, else pull it, else make it from Debian's packages."""

import datetime
import re
import shutil
import tempfile
from urllib.parse import urlsplit

from cli import apt, console, engine, sudo
from cli.console import say
from deploy.errors import StackError

SUITE = "trixie"
DEBIAN_NAME = re.compile(rf"(^|/)debian:{SUITE}(-slim)?$")
PULL_FIRST_OUTPUT = 30  # seconds; Docker waits for an unreachable registry for minutes
PULL_LIMIT = 600  # seconds; the image has 30 MB

LOCAL_CAS = "/usr/local/share/ca-certificates"


def ensure_for(config, assume_yes=False):
    """Make sure that the engine has the base image of this project."""
    ensure(config["services"]["web"]["build"]["args"]["BASE_IMAGE"], assume_yes)


def ensure(name, assume_yes=False):
    """Make sure that the engine has this base image. assume_yes: install packages for it without a question."""
    if console.capture(["docker", "image", "inspect", name]).returncode == 0:
        return
    try:
        pull = ["docker", "pull", name]
        fix = " ".join(pull)
        console.run(f"pulling {name}", pull, fix=fix, timeout=PULL_LIMIT, first_output_timeout=PULL_FIRST_OUTPUT)
    except StackError as error:
        say(f"  Pull failed: {error.cause.splitlines()[-1]}")
        _make(name, error, assume_yes)


def update(config):
    """Pull the base image again, if it came from a registry. One that ./stack has made stays.

    In both cases the build updates its packages (stage `base` of the Dockerfile).
    """
    name = config["services"]["web"]["build"]["args"]["BASE_IMAGE"]
    inspect = ["docker", "image", "inspect", "--format", "{{len .RepoDigests}}", name]
    if console.capture(inspect).stdout.strip() in ("", "0"):
        return
    pull = ["docker", "pull", name]
    try:
        console.run(
            f"pulling {name}", pull, fix=" ".join(pull), timeout=PULL_LIMIT, first_output_timeout=PULL_FIRST_OUTPUT
        )
    except StackError as error:
        say(f"  Pull failed, so the existing image is used: {error.cause.splitlines()[-1]}")


def _make(name, pull_error, assume_yes):
    """Make the image from the packages of the mirror that the host's apt uses."""
    lines = mirror_lines(apt.read_sources(), engine.read_os_release())
    if not DEBIAN_NAME.search(name) or not lines:
        raise StackError(
            f"The base image {name} cannot be pulled.",
            f"{pull_error.cause}\nAll images of the stack are built on it. ./stack can make debian:{SUITE}-slim "
            "itself, but no other image, and only on a host whose apt uses a mirror of Debian.",
            f"{pull_error.fix}\nBASE_IMAGE=registry.example/debian:{SUITE}-slim ./stack up   (another registry)",
        )
    needs_mmdebstrap = not shutil.which("mmdebstrap")
    if needs_mmdebstrap and sudo.is_available():
        sudo.confirm_changes(
            ["install the package mmdebstrap and its dependencies, to make the base image"], assume_yes
        )
    sudo.require("make the base image")
    if needs_mmdebstrap:
        apt.install(["mmdebstrap"])
    with tempfile.TemporaryDirectory(prefix="tripod-base-") as folder:
        archive = f"{folder}/base.tar"
        console.run(
            f"making {name} from Debian's packages",
            mmdebstrap(archive, lines),
            fix=f"{sudo.shell_line('apt-get update')}   (shows whether the mirrors answer)\n./stack up",
        )
        console.run(
            "importing the base image",
            ["docker", "import", *_changes(name, lines), archive, name],
            fix="docker info   (shows whether the engine answers)\n"
            "df -h /var/lib/docker   (shows the free disk space)\n./stack up",
        )


def mirror_lines(sources, os_release):
    """Return apt's lines for the suites of the image, with the host's mirrors; empty without a mirror of Debian."""
    release = os_release.get("VERSION_CODENAME")
    main = apt.find_debian(sources, SUITE) or apt.find_debian(sources, release)
    security = apt.find_debian(sources, f"{release}-security")
    lines = [f"deb {main.uri} {suite} main" for suite in (SUITE, f"{SUITE}-updates")] if main else []
    return lines + ([f"deb {security.uri} {SUITE}-security main"] if main and security else [])


def mmdebstrap(archive, lines):
    """Return the command that makes a minimal Debian with the host's local CA certificates."""
    unused = [f"--dpkgopt=path-exclude=/usr/share/{folder}/*" for folder in ("man", "doc", "locale", "info")]
    return sudo.command(
        [
            "mmdebstrap",
            "--variant=minbase",
            "--include=ca-certificates",
            '--aptopt=Acquire::Languages "none"',
            *unused,
            "--dpkgopt=path-include=/usr/share/doc/*/copyright",
            f'--customize-hook=test ! -d {LOCAL_CAS} || cp -r {LOCAL_CAS}/. "$1{LOCAL_CAS}/"',
            '--customize-hook=chroot "$1" update-ca-certificates',
            SUITE,
            archive,
            *lines,
        ]
    )


def _changes(name, lines):
    # Host names, not URIs, which may contain a password.
    hosts = sorted({urlsplit(line.split()[1]).hostname for line in lines})
    origin = f"{name}, made by ./stack from packages of {' and '.join(hosts)} on {datetime.date.today()}"
    return ["--change", 'CMD ["bash"]', "--change", f'LABEL org.opencontainers.image.description="{origin}"']
