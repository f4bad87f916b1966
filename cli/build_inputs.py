"""Inputs of builds from the host: pip's configuration, CA certificates, proxies and the name of the release.

Compose reads them as environment variables. Variables that the shell or `.env` sets are not replaced.
"""

import configparser
import hashlib
import os
import re
from pathlib import Path

from cli import console, dotenv, git, proxy, sudo
from deploy.errors import StackError

LOCAL_CAS = Path("/usr/local/share/ca-certificates")
SYSTEM_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
BUNDLE_IN_BUILD = "/run/secrets/ca_bundle"
PIP_SETTINGS = ("index-url", "extra-index-url", "trusted-host", "timeout")


def environment(environ=os.environ):
    """Return the variables that builds need and that are not set yet, and the digest of the CA certificates."""
    bundle = environ.get("CA_BUNDLE") or _save("ca-bundle.crt", _bundle_text(environ))
    inputs = {
        "RELEASE": release_name(),
        "CA_BUNDLE": bundle,
        "PIP_CONF": _save("pip.conf", pip_conf(pip_settings(_pip_files(environ), environ), bundle)),
        **proxy.both_spellings(environ),
    }
    already_set = {name for name in inputs if environ.get(name)} | dotenv.names()
    digest = _digest(environ.get("CA_BUNDLE") or dotenv.values(environ).get("CA_BUNDLE") or bundle)
    # The digest of another bundle may be set already, by a ./stack that runs this one.
    digests = {"CA_BUNDLE_DIGEST": digest} if digest or environ.get("CA_BUNDLE_DIGEST") else {}
    return {name: value for name, value in inputs.items() if value and name not in already_set} | digests


def release_name():
    """Return git's description of the working tree, or `dev` without git."""
    return console.capture(git.command("describe", "--always", "--dirty")).stdout.strip() or "dev"


def pip_settings(files, environ):
    """Return the settings of pip that a container can use. Later files override earlier ones, the environment all."""
    settings = {}
    for path in files:
        parser = configparser.RawConfigParser()
        try:
            parser.read(path)
        except configparser.Error:
            continue  # pip itself reports the error, with more detail
        for section in ("global", "install"):
            settings.update(parser.items(section) if parser.has_section(section) else ())
    for name in PIP_SETTINGS:
        variable = "PIP_DEFAULT_TIMEOUT" if name == "timeout" else f"PIP_{name.upper().replace('-', '_')}"
        settings.update({name: environ[variable]} if environ.get(variable) else {})
    usable = {name: _without_paths(name, settings.get(name, "")) for name in PIP_SETTINGS}
    return {name: value for name, value in usable.items() if value}


def _without_paths(name, value):
    """Remove indexes that are folders of the host: a container does not have them."""
    words = value.split()
    if name.endswith("index-url"):
        words = [word for word in words if re.match(r"https?://", word)]
    return " ".join(words)


def pip_conf(settings, bundle=""):
    """Return the text of a pip.conf; empty without settings."""
    settings = {**settings, **({"cert": BUNDLE_IN_BUILD} if bundle else {})}
    lines = [f"{name} = {value}\n" for name, value in settings.items()]
    return "[global]\n" + "".join(lines) if lines else ""


def _pip_files(environ):
    """Return the files that pip reads, in its order. PIP_CONFIG_FILE replaces the user's own files."""
    home, override = Path.home(), environ.get("PIP_CONFIG_FILE")
    if override == os.devnull:
        return []
    config = Path(environ.get("XDG_CONFIG_HOME") or home / ".config")
    user_files = [home / ".pip/pip.conf", config / "pip/pip.conf"]
    return [Path("/etc/pip.conf"), *([Path(override)] if override and Path(override).exists() else user_files)]


def _bundle_text(environ):
    """Return the host's CA certificates if a local one is among them, such as that of a company's proxy."""
    override = environ.get("SSL_CERT_FILE")
    bundle = Path(override) if override else SYSTEM_BUNDLE
    has_local = override or any(LOCAL_CAS.rglob("*.crt"))
    return bundle.read_text() if has_local and bundle.is_file() else ""


def _digest(bundle):
    """Return a digest of the CA certificates: unlike the content of a build secret, it is part of the build cache."""
    path = console.ROOT / bundle  # as Compose, which reads relative paths from the folder of docker-compose.yml
    return hashlib.sha256(path.read_bytes()).hexdigest() if bundle and path.is_file() else ""


def _save(name, text):
    """Save a text in the state folder and return its path. Only its owner can read it: it may contain a password."""
    path = console.STATE / name
    if not text:
        return ""
    try:
        if not path.is_file() or path.read_text() != text:
            console.state_folder()
            path.unlink(missing_ok=True)
            path.touch(mode=0o600)
            path.write_text(text)
    except OSError as error:
        cause = f"{error}. Builds read it to reach the package index. If root ran ./stack before, it belongs to root."
        raise StackError(f"{path} cannot be written.", cause, sudo.shell_line(f"rm -r {console.STATE}")) from None
    return str(path)
