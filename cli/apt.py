"""apt on Debian and Ubuntu: the mirrors that the machine already trusts, and the installation of packages."""

import functools
import itertools
import re
from dataclasses import dataclass
from pathlib import Path

from cli import console, sudo
from deploy.errors import StackError

SOURCES = Path("/etc/apt")
OFFICIAL_KEYRING = "debian-archive-"
DISABLED = ("no", "false", "off", "0")


@dataclass(frozen=True)
class Source:
    """One suite of one archive, as in apt's configuration."""

    uri: str
    suite: str
    components: tuple
    signed_by: str = ""

    def is_debian(self):
        """Whether this is Debian's archive or a mirror of it. Others use the same suite names, with other keys."""
        if "main" not in self.components or not re.match(r"https?:|mirror\+", self.uri):
            return False
        return OFFICIAL_KEYRING in self.signed_by or (not self.signed_by and "debian" in self.uri)


def read_sources(folder=SOURCES):
    """Return all enabled binary sources, from files in both formats that apt reads (sources.list(5))."""
    one_line = [folder / "sources.list", *sorted(folder.glob("sources.list.d/*.list"))]
    sources = [parse_one_line(path.read_text()) for path in one_line if path.is_file()]
    sources += [parse_deb822(path.read_text()) for path in sorted(folder.glob("sources.list.d/*.sources"))]
    return list(itertools.chain.from_iterable(sources))


def parse_one_line(text):
    """Return the sources of a *.list file: `deb [option=value …] uri suite component …`."""
    lines = re.findall(r"^\s*deb\s+(?:\[([^\]]*)\]\s*)?(\S+)\s+(\S+)([^#\n]*)", text, re.MULTILINE)
    return [Source(uri, suite, tuple(rest.split()), _signed_by(options)) for options, uri, suite, rest in lines]


def _signed_by(options):
    return "".join(re.findall(r"signed-by=(\S+)", options, re.IGNORECASE))


def parse_deb822(text):
    """Return the sources of a *.sources file: paragraphs of `Field: value`, continued by indented lines."""
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    paragraphs = [_fields(paragraph) for paragraph in re.split(r"\n\s*\n", "\n".join(lines))]
    return [
        Source(uri, suite, tuple(fields.get("components", "").split()), fields.get("signed-by", ""))
        for fields in paragraphs
        if "deb" in fields.get("types", "").split() and fields.get("enabled", "yes").lower() not in DISABLED
        for uri in fields.get("uris", "").split()
        for suite in fields.get("suites", "").split()
    ]


def _fields(paragraph):
    pairs = re.findall(r"^(\S+?):(.*(?:\n[ \t].*)*)", paragraph, re.MULTILINE)
    return {name.lower(): value.strip() for name, value in pairs}


def find_debian(sources, suite):
    """Return the first source of Debian with this suite, with its mirror list resolved; None without one."""
    for source in sources:
        if source.suite == suite and source.is_debian():
            return Source(_resolve(source.uri), suite, source.components, source.signed_by)
    return None


def _resolve(uri):
    """Return the first address of a mirror list. Cloud images have sources such as `mirror+file:/etc/apt/list`."""
    if not uri.startswith("mirror+file:"):
        return uri
    lines = Path(re.sub(r"^mirror\+file:/*", "/", uri)).read_text().splitlines()
    return next(line.split()[0] for line in lines if line.strip() and not line.startswith("#"))


def install(packages):
    """Install packages without recommended ones. Installed packages are not upgraded."""
    update_error = _update()
    # A new cloud machine may still be installing its own updates: wait up to 120 s for the lock. Default: 0.
    options = ["-y", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=120"]
    command = sudo.command(["apt-get", "install", *options, *packages])
    try:
        fix = f"{sudo.shell_line('apt-get update')} && ./stack up"
        console.run(f"installing {' '.join(packages)}", command, fix=fix)
    except StackError as error:
        if update_error:  # the unreadable package list is the likely cause
            error.cause = "\n".join(update_error.cause.splitlines()[-4:] + error.cause.splitlines()[-4:])
        raise


@functools.cache
def _update():
    """Update the package lists once. Return the StackError of a source that cannot be read; it may not be needed."""
    try:
        update = sudo.command(["apt-get", "-o", "APT::Update::Error-Mode=any", "update"])
        console.run("updating the package lists", update, fix=sudo.shell_line("apt-get update"))
    except StackError as error:
        console.say(f"  Some package lists are out of date. To see which: {error.fix.splitlines()[0]}")
        return error
    return None
