"""What builds take from the host: pip's configuration, certificates, the proxy, and the release's name.

Compose reads them as environment variables. What somebody has set, in the shell or in `.env`, is left alone.
"""

import configparser
import os
import re
from pathlib import Path

from cli import console, dotenv, sudo
from cli.console import ROOT
from deploy.errors import StackError

LOCAL_CAS = Path("/usr/local/share/ca-certificates")
SYSTEM_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
BUNDLE_IN_BUILD = "/run/secrets/ca_bundle"
PIP_SETTINGS = ("index-url", "extra-index-url", "trusted-host", "timeout")
PROXIES = ("http_proxy", "https_proxy", "no_proxy")


def environment(environ=os.environ):
    """The variables that builds need and that nobody has set yet."""
    bundle = environ.get("CA_BUNDLE") or _keep("ca-bundle.crt", _bundle_text(environ))
    found = {
        "RELEASE": release_name(),
        "CA_BUNDLE": bundle,
        "PIP_CONF": _keep("pip.conf", pip_conf(pip_settings(_pip_files(environ), environ), bundle)),
        **_proxies(environ),
    }
    taken = {name for name in found if environ.get(name)} | dotenv.names()
    return {name: value for name, value in found.items() if value and name not in taken}


def release_name():
    """The name of what is built: git's description of the working tree, or `dev` without git."""
    # Run by root, the folder may be somebody else's, which git distrusts; nothing of it is executed here.
    git = ["git", "-c", f"safe.directory={ROOT}", "describe", "--always", "--dirty"]
    return console.capture(git).stdout.strip() or "dev"


def pip_settings(files, environ):
    """What of pip's settings a container can use. Later files win over earlier, the environment over all."""
    settings = {}
    for path in files:
        parser = configparser.RawConfigParser()
        try:
            parser.read(path)
        except configparser.Error:
            continue  # pip itself will complain about it, and better
        for section in ("global", "install"):
            settings.update(parser.items(section) if parser.has_section(section) else ())
    for name in PIP_SETTINGS:
        variable = "PIP_DEFAULT_TIMEOUT" if name == "timeout" else f"PIP_{name.upper().replace('-', '_')}"
        settings.update({name: environ[variable]} if environ.get(variable) else {})
    usable = {name: _usable(name, settings.get(name, "")) for name in PIP_SETTINGS}
    return {name: value for name, value in usable.items() if value}


def _usable(name, value):
    """Without what names a file of the host: there is no such file in a container."""
    words = value.split()
    if name.endswith("index-url"):
        words = [word for word in words if re.match(r"https?://", word)]
    return " ".join(words)


def pip_conf(settings, bundle=""):
    """The text of a pip.conf; empty if there is nothing to say."""
    settings = {**settings, **({"cert": BUNDLE_IN_BUILD} if bundle else {})}
    lines = [f"{name} = {value}\n" for name, value in settings.items()]
    return "[global]\n" + "".join(lines) if lines else ""


def _pip_files(environ):
    """The files that pip reads, in its order: a PIP_CONFIG_FILE replaces the user's own ones."""
    home, own = Path.home(), environ.get("PIP_CONFIG_FILE")
    if own == os.devnull:
        return []
    config = Path(environ.get("XDG_CONFIG_HOME") or home / ".config")
    users = [home / ".pip/pip.conf", config / "pip/pip.conf"]
    return [Path("/etc/pip.conf"), *([Path(own)] if own and Path(own).exists() else users)]


def _bundle_text(environ):
    """The host's certificates, if there are more than the public ones: a company's proxy has its own."""
    named = environ.get("SSL_CERT_FILE")
    bundle = Path(named) if named else SYSTEM_BUNDLE
    is_local = named or any(LOCAL_CAS.rglob("*.crt"))
    return bundle.read_text() if is_local and bundle.is_file() else ""


def _proxies(environ):
    """Both spellings of each proxy variable: apt reads the small one, other tools the large one."""
    values = {name: environ.get(name) or environ.get(name.upper()) for name in PROXIES}
    return {spelled: value for name, value in values.items() for spelled in (name, name.upper()) if value}


def _keep(name, text):
    """Keep a text in the state folder, readable for its owner only: an index address may hold a password."""
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
        why = f"{error}. Builds read from there how to reach the package index; root may have made it."
        raise StackError(f"{path} cannot be written.", why, sudo.shell_line(f"rm -r {console.STATE}")) from None
    return str(path)
