"""apt on a Debian or Ubuntu machine: which mirror it already trusts, and installing packages from there."""

import functools
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
    """One suite of one archive in apt's configuration."""

    uri: str
    suite: str
    components: tuple
    signed_by: str = ""

    def is_debian(self):
        """Debian's own archive or a mirror of it. Others use the same suite names, with keys of their own."""
        if "main" not in self.components or not re.match(r"https?:|mirror\+", self.uri):
            return False
        return OFFICIAL_KEYRING in self.signed_by or (not self.signed_by and "debian" in self.uri)


def read_sources(folder=SOURCES):
    """All enabled binary sources of the machine, from both kinds of file that apt reads."""
    one_line = [folder / "sources.list", *sorted(folder.glob("sources.list.d/*.list"))]
    found = [parse_one_line(path.read_text()) for path in one_line if path.is_file()]
    found += [parse_deb822(path.read_text()) for path in sorted(folder.glob("sources.list.d/*.sources"))]
    return [source for sources in found for source in sources]


def parse_one_line(text):
    """Sources of a *.list file: `deb [option=value …] uri suite component …`."""
    lines = re.findall(r"^\s*deb\s+(?:\[([^\]]*)\]\s*)?(\S+)\s+(\S+)([^#\n]*)", text, re.MULTILINE)
    return [Source(uri, suite, tuple(rest.split()), _option(options)) for options, uri, suite, rest in lines]


def _option(options):
    return "".join(re.findall(r"signed-by=(\S+)", options, re.IGNORECASE))


def parse_deb822(text):
    """Sources of a *.sources file: paragraphs of `Field: value`, continued by indented lines."""
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
    """The first source of Debian itself with this suite, its mirror list resolved; None without one."""
    for source in sources:
        if source.suite == suite and source.is_debian():
            return Source(_resolve(source.uri), suite, source.components, source.signed_by)
    return None


def _resolve(uri):
    """`mirror+file:/list`, as in cloud images, names a file of this machine; an address is its first line."""
    if not uri.startswith("mirror+file:"):
        return uri
    lines = Path(re.sub(r"^mirror\+file:/*", "/", uri)).read_text().splitlines()
    return next(line.split()[0] for line in lines if line.strip() and not line.startswith("#"))


def install(packages):
    """Install packages and nothing that is merely recommended; installed ones stay as they are."""
    update = _update()
    # A fresh cloud machine is still busy with its own updates: wait for the lock a while.
    options = ["-y", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=120"]
    command = sudo.command(["apt-get", "install", *options, *packages])
    try:
        fix = f"{sudo.shell_line('apt-get update')} && ./stack up"
        console.run(f"installing {' '.join(packages)}", command, fix=fix)
    except StackError as problem:
        if update:  # what could not be read is most likely what could not be installed
            problem.cause = "\n".join(update.cause.splitlines()[-4:] + problem.cause.splitlines()[-4:])
        raise


@functools.cache
def _update():
    """Refresh the package lists, once. A broken source is no reason to stop: the install will tell."""
    try:
        update = sudo.command(["apt-get", "-o", "APT::Update::Error-Mode=any", "update"])
        console.run("reading the package lists", update, fix=sudo.shell_line("apt-get update"))
    except StackError as problem:
        console.say("  Going on with what could be read. To see what could not, type: " + problem.fix.splitlines()[0])
        return problem
    return None
