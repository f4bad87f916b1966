"""The process that the app runs in: the same on every server, whatever the host or a server adds to it."""

import locale
import os
import sys
import tempfile
from collections.abc import MutableMapping

from deploy import certificates

# Variables that configure one server alone and would override what the stack sets for every server. Platforms set some
# themselves: Heroku sets GUNICORN_CMD_ARGS. https://docs.gunicorn.org/en/stable/settings.html,
# https://uwsgi-docs.readthedocs.io/en/latest/Configuration.html#environment-variables
_OF_ONE_SERVER = ("GUNICORN_", "UWSGI_", "MOD_WSGI_")
# The variables that exist before the server starts, and HOME, which mod_wsgi overrides.
_NAMES, _HOME = "APP_VARIABLES", "APP_HOME"


def remove_server_variables(environ: MutableMapping[str, str]) -> list[str]:
    """Remove the variables that configure one server alone, and return their names."""
    names = sorted(name for name in environ if name.startswith(_OF_ONE_SERVER))
    for name in names:
        del environ[name]
    return names


def require_home(environ: MutableMapping[str, str]) -> None:
    """Set HOME to a writable folder, for libraries that cache files there: the user of the image has no home."""
    home = environ.get("HOME", "")
    if not (os.path.isdir(home) and os.access(home, os.W_OK)):
        environ["HOME"] = tempfile.gettempdir()


def require_certificates(environ: MutableMapping[str, str]) -> None:
    """Name the system's CA certificates to libraries that bring their own, which lack a company's CA.

    OpenSSL reads the first variable (urllib, smtplib, httpx, libpq with sslrootcert=system), requests the second one.
    """
    if certificates.SYSTEM.exists():
        for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"):
            environ[name] = environ.get(name) or str(certificates.SYSTEM)


def remember(environ: MutableMapping[str, str]) -> None:
    """Record the environment that the app has on every server. Called last before the server starts."""
    environ[_HOME] = environ["HOME"]
    environ[_NAMES] = ""  # its own name is one of them
    environ[_NAMES] = " ".join(environ)


def restore(environ: MutableMapping[str, str] = os.environ) -> None:
    """Undo what the server and its `run` changed: variables, sys.executable, sys.argv, sys.path and the locale.

    Called before the app is imported.
    """
    if not (names := environ.pop(_NAMES, "").split()):
        return  # not started by deploy/start
    for name in set(environ) - set(names):
        del environ[name]
    environ["HOME"] = environ.pop(_HOME)
    # uWSGI names itself, which subprocesses and multiprocessing would start instead of Python.
    sys.executable = os.path.join(sys.prefix, "bin", "python3")
    # The server's own arguments mean nothing to an app that parses its command line.
    sys.argv[:] = ["deploy/start"]
    sys.orig_argv = [sys.executable, *sys.argv]
    # Servers put the folder of their own script, or relative names of the working directory, in front.
    root, of_server = os.getcwd(), ("", ".", os.path.join(sys.prefix, "bin"))
    sys.path[:] = [root, *(path for path in sys.path if path != root and path not in of_server)]
    # As Python itself starts: the character set alone follows LANG. mod_wsgi sets every category.
    locale.setlocale(locale.LC_ALL, "C")
    locale.setlocale(locale.LC_CTYPE, "")
