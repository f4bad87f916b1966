"""The contract: every variable of the stack, declared once, with its default, its meaning and its check.

Whoever runs the stack sets these in the environment (Compose also reads `.env`). `load()` fills the defaults and
checks every value; deploy/start, nginx/start, deploy/release and `./stack up` call it before they do anything else.
An empty value counts as unset, so that Compose can pass names on. Any NAME may be given as NAME_FILE: the file's
content, without surrounding white space, is then the value (the convention of Docker secrets).

Only the standard library, and nothing newer than Python 3.10: `./stack` runs this on a bare host.
"""

import os
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from deploy import resources
from deploy.errors import EXIT_CONFIG, StackError, StackErrors

ROOT = Path(__file__).resolve().parent.parent
SERVERS = Path(__file__).resolve().parent / "servers"
LOG_LEVELS = ("debug", "info", "warning", "error", "critical")
SAMPLE_APP = "app.wsgi:application"

MAX_WORKERS = 256
MAX_BACKLOG = 4096  # net.core.somaxconn of Linux since 5.4

# More than the longest SHUTDOWN_GRACE; docker-compose.yml's stop_grace_period (65s) is a little more than this.
MAX_SHUTDOWN_GRACE = 60


@dataclass(frozen=True)
class Setting:
    """`check` returns what is wrong with a value, or an empty string. `default` may depend on the values before it."""

    name: str
    default: str | Callable[[Mapping[str, str]], str]
    shown: str
    meaning: str
    check: Callable[[str], str]
    example: str


def server_names() -> list[str]:
    """The valid values of WSGI_SERVER: the folders of deploy/servers."""
    return sorted(run.parent.name for run in SERVERS.glob("*/run"))


def require_server_program(server: str) -> None:
    """Raises StackError unless the program that the server's folder names in `needs` is on this machine."""
    programs = {needs.parent.name: needs.read_text().strip() for needs in SERVERS.glob("*/needs")}
    here = sorted(name for name, program in programs.items() if shutil.which(program))
    if server in programs and server not in here:
        raise setting_error(
            "WSGI_SERVER",
            f"{server} cannot run here: it needs {programs[server]}, which is not installed",
            "a target has some servers only; Heroku, for one, has no Apache",
            f"set WSGI_SERVER={' or '.join(here)}" if here else "install the packages of Pipfile.lock",
        )


def _server(value: str) -> str:
    return (
        ""
        if value in server_names()
        else f"{value!r} is no WSGI server of this stack; it has {', '.join(server_names())}"
    )


def _app(value: str) -> str:
    if re.fullmatch(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*(\(\))?", value):
        return ""
    return f"{value!r} is neither module:callable nor module:factory()"


def _path(value: str) -> str:
    return "" if re.fullmatch(r"/[!-~]*", value) else f"{value!r} is no URL path that starts with /"


def _folder(value: str) -> str:
    return "" if value.startswith("/") else f"{value!r} is no absolute path"


def _number(low: int, high: int) -> Callable[[str], str]:
    def check(value: str) -> str:
        if not re.fullmatch(r"[0-9]{1,9}", value):
            return f"{value!r} is not a whole number"
        return "" if low <= int(value) <= high else f"{value} is not between {low} and {high}"

    return check


def _size(value: str) -> str:
    if not re.fullmatch(r"[0-9]{1,9}[kKmMgG]?", value):
        return f"{value!r} is no size: a number of bytes, or one with k, m or g behind it"
    # Below 1 KiB no form fits; above 4 GiB uWSGI 2.0 and 32-bit counters in the field begin to differ.
    return "" if 1024 <= size_in_bytes(value) <= 4 * 1024**3 else f"{value} is not between 1k and 4g"


def _hosts(value: str) -> str:
    pattern = re.compile(r"\*|\.?[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*")
    bad = [host for host in value.replace(",", " ").split() if not pattern.fullmatch(host)]
    return f"{bad[0]!r} is no host name (no scheme, no port, no slash)" if bad else ""


def _database(value: str) -> str:
    # The value is not repeated: it may hold a password.
    if not re.match(r"[a-z][a-z0-9+]*://", value):
        return "it does not start with a scheme such as postgresql://"
    try:
        return "its port is 0" if urlsplit(value).port == 0 else ""
    except ValueError:
        return "its port is not a number between 1 and 65535, or its host is malformed"


def _smtp(value: str) -> str:
    # The value is not repeated: it may hold a password.
    if not re.match(r"(smtps?://.|$)", value):
        return "it does not start with smtp:// or smtps://"
    try:
        parts = urlsplit(value)
        return "it names no host, or port 0" if value and (not parts.hostname or parts.port == 0) else ""
    except ValueError:
        return "its port is not a number between 1 and 65535, or its host is malformed"


def _mailbox(value: str) -> str:
    return "" if re.fullmatch(r"[^\s@<>]+@[^\s@<>]+", value) else f"{value!r} is no email address"


def _redis(value: str) -> str:
    # The value is not repeated: it may hold a password.
    return "" if re.match(r"(rediss?://.|$)", value) else "it does not start with redis:// or rediss://"


def _origins(value: str) -> str:
    pattern = re.compile(r"\*|https?://[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*(:[0-9]{1,5})?")
    bad = [origin for origin in value.replace(",", " ").split() if not pattern.fullmatch(origin)]
    return f"{bad[0]!r} is no origin (scheme and host, no path, no slash at the end)" if bad else ""


def _secret(value: str) -> str:
    if not value:
        return ""  # generated by deploy/start
    return "" if len(value) >= 16 else f"it has only {len(value)} characters"


def _level(value: str) -> str:
    return "" if value in LOG_LEVELS else f"{value!r} is no log level; there are {', '.join(LOG_LEVELS)}"


def _anything(value: str) -> str:
    return ""


def profile_database_url() -> str:
    """The address that the profile `postgres` has left, empty without it.

    It stays in the volume when that server is stopped: an app that then fell back to SQLite would seem to have lost
    everything.
    """
    try:
        return Path("/run/postgresql/database_url").read_text().strip()
    except OSError:
        return ""


def _default_database(values: Mapping[str, str]) -> str:
    return profile_database_url() or f"sqlite:///{values['STATE_DIRECTORY']}/app.db"


def _queue(values: Mapping[str, str]) -> str:
    # Who waits behind sixteen others for each thread waits sixteen times as long as a request takes.
    threads = int(values["WEB_CONCURRENCY"]) * int(values["WEB_THREADS"])
    return str(min(MAX_BACKLOG, 16 * threads))


def is_sample_app(values: Mapping[str, str]) -> bool:
    """Whether the settings run the sample app, not a custom one."""
    return values["WSGI_APP"] == SAMPLE_APP and not values["APP_DIR"]


def _release_command(values: Mapping[str, str]) -> str:
    # A brought app says itself what it runs before a release; ours migrates its database.
    return "python3 -m app.migrations" if is_sample_app(values) else "true"


def _preload(values: Mapping[str, str]) -> str:
    # Connections that an app opens while it is loaded would be shared by all processes. Ours opens none.
    return "on" if is_sample_app(values) else "off"


def _switch(value: str) -> str:
    return "" if value in ("on", "off") else f"{value!r} is neither on nor off"


SETTINGS = (
    Setting(
        "WSGI_SERVER",
        "gunicorn",
        "gunicorn",
        "which WSGI server runs the app: a folder of `deploy/servers`",
        _server,
        "uwsgi",
    ),
    Setting(
        "APP_DIR",
        "",
        "the sample app, `app/`",
        "the folder of your own app: its root, with its `requirements.txt`",
        _anything,
        "../shop",
    ),
    Setting(
        "BUILD_COMMAND",
        "",
        "–",
        "run in your app's root when the image is built, before its static files are looked at",
        _anything,
        "python manage.py collectstatic --noinput",
    ),
    Setting(
        "STATIC_SOURCE",
        "static",
        "static",
        "the folder of static files in your app's root that Nginx serves as `/static/`",
        _anything,
        "shop/static",
    ),
    Setting(
        "WSGI_APP",
        SAMPLE_APP,
        SAMPLE_APP,
        "the app: `module:callable` or `module:factory()`; any WSGI app whose module is under the app root",
        _app,
        SAMPLE_APP,
    ),
    Setting(
        "READY_PATH",
        "/readyz",
        "/readyz",
        "the path whose 200 means that the app can take traffic (a brought app may only have `/`)",
        _path,
        "/",
    ),
    Setting(
        "RELEASE_COMMAND",
        _release_command,
        "the sample app's migrations; nothing for a brought app",
        "run once before each release takes traffic, from the app root",
        _anything,
        "python manage.py migrate",
    ),
    Setting(
        "PRELOAD",
        _preload,
        "on for the sample app, off for a brought one",
        "Gunicorn and uWSGI load the app once, then fork: a quicker start, less memory; while it is loaded it "
        "must neither connect nor start threads",
        _switch,
        "off",
    ),
    Setting(
        "WEB_CONCURRENCY",
        lambda values: str(min(MAX_WORKERS, resources.default_workers())),
        "one for each CPU, as far as memory reaches",
        "worker processes; the default looks at the container's CPU and memory limits",
        _number(1, MAX_WORKERS),
        "2",
    ),
    Setting("WEB_THREADS", "4", "4", "threads in each worker process", _number(1, 256), "4"),
    Setting(
        "WEB_QUEUE",
        _queue,
        "16 for each thread",
        "requests that may wait for a free thread; those beyond get 503 with `Retry-After` at once",
        _number(1, MAX_BACKLOG),
        "64",
    ),
    Setting(
        "CLIENT_CONNECTIONS",
        "1000",
        "1000",
        "requests that one client's address may have open at once, 0 for any number; those beyond get 429",
        _number(0, 65535),
        "100",
    ),
    Setting(
        "CLIENT_RATE",
        "0",
        "0 (off)",
        "requests a second that one client's address may send to the app; those beyond get 429",
        _number(0, 1_000_000),
        "50",
    ),
    Setting(
        "REQUEST_TIMEOUT",
        "30",
        "30",
        "seconds; a request stuck for longer is ended, on every server alike",
        _number(1, 3600),
        "30",
    ),
    Setting(
        "SHUTDOWN_GRACE",
        "25",
        "25",
        "seconds that requests in flight get on SIGTERM",
        _number(1, MAX_SHUTDOWN_GRACE),
        "25",
    ),
    Setting(
        "MAX_BODY_SIZE",
        "10m",
        "10m",
        "largest request body, in bytes or with k, m, g; Nginx, server and app answer 413 beyond it",
        _size,
        "10m",
    ),
    Setting(
        "MAX_REQUESTS",
        "0",
        "0 (off)",
        "replace a worker process after about so many requests",
        _number(0, 999_999_999),
        "10000",
    ),
    Setting(
        "TRUSTED_PROXIES",
        "1",
        "1",
        "how many proxies in front of the app may be believed about client and scheme; Nginx is the first",
        _number(0, 10),
        "2",
    ),
    Setting(
        "ALLOWED_HOSTS",
        "*",
        "* (any)",
        "host names that are served, separated by commas, `.example.com` with subdomains; others get 400",
        _hosts,
        "example.com,.example.org",
    ),
    Setting(
        "PORT",
        "",
        "–",
        "serve HTTP on this TCP port instead of the socket (platforms such as Heroku set it)",
        lambda value: _number(1, 65535)(value) if value else "",
        "8000",
    ),
    Setting(
        "HTTP_PORT", "8080", "8080", "the port that Nginx answers on, or Compose publishes", _number(1, 65535), "8080"
    ),
    Setting(
        "DATABASE_URL",
        _default_database,
        "SQLite in the state directory; PostgreSQL with the profile `postgres`",
        "the database; `postgres://` and `postgresql://` both work",
        _database,
        "postgresql://user:password@host/name",
    ),
    Setting(
        "SECRET_KEY",
        "",
        "generated once, kept in the state directory",
        "signs sessions and forms; at least 16 characters",
        _secret,
        "python3 -c 'import secrets; print(secrets.token_hex(32))'",
    ),
    Setting(
        "SMTP_URL",
        "",
        "–: mail goes into the log and the folder `mail` of the state directory",
        "the server that mail goes through; `smtps://` for port 465",
        _smtp,
        "smtp://user:password@mail.example.com:587",
    ),
    Setting(
        "MAIL_FROM",
        "tripod@localhost",
        "tripod@localhost",
        "the address that mail comes from",
        _mailbox,
        "tripod@example.com",
    ),
    Setting(
        "RATE_LIMITS",
        "on",
        "on",
        "how often one may try to log in, register or write is limited; `off` for load tests",
        _switch,
        "off",
    ),
    Setting(
        "REDIS_URL",
        "",
        "–",
        "a Redis that counts for these limits; without one the database does",
        _redis,
        "redis://host:6379/0",
    ),
    Setting(
        "CORS_ORIGINS",
        "",
        "–",
        "sites whose pages may use the API, by token and never by cookie: separated by commas, or `*`",
        _origins,
        "https://app.example.com,https://example.org:8443",
    ),
    Setting("LOG_LEVEL", "info", "info", "logs are JSON lines on stderr", _level, "debug"),
    Setting("RELEASE", "dev", "set at image build", "names what is running; shown by `/healthz`", _anything, "v1.2"),
    Setting(
        "STATE_DIRECTORY",
        "/var/lib/tripod",
        "/var/lib/tripod",
        "what must survive: database, generated key",
        _folder,
        "/var/lib/tripod",
    ),
    Setting(
        "RUNTIME_DIRECTORY",
        "/run/tripod",
        "/run/tripod",
        "the sockets between Nginx and the servers",
        _folder,
        "/run/tripod",
    ),
    Setting(
        "STATIC_ROOT",
        str(ROOT / "static"),
        "`static` in the app root",
        "the built static files, with hashed names",
        _folder,
        "/srv/static",
    ),
    Setting(
        "ASSETS_DIRECTORY",
        "/var/lib/tripod-assets",
        "/var/lib/tripod-assets",
        "where static files of this and earlier releases are published for Nginx",
        _folder,
        "/var/lib/tripod-assets",
    ),
    Setting(
        "CACHE_DIRECTORY",
        "/var/cache/nginx",
        "/var/cache/nginx",
        "Nginx's own: its configuration with values filled in, bodies too large for memory",
        _folder,
        "/var/cache/nginx",
    ),
)

_BY_NAME = {setting.name: setting for setting in SETTINGS}


def size_in_bytes(value: str) -> int:
    """`10m` as Nginx reads it: 10 * 1024 * 1024 bytes."""
    units = {"k": 1024, "m": 1024**2, "g": 1024**3}
    unit = units.get(value[-1].lower())
    return int(value[:-1]) * unit if unit else int(value)


def _set_value(environ: Mapping[str, str], name: str) -> str:
    """The value that is set, from NAME or else from the file that NAME_FILE names; empty if neither is set.

    Raises StackError if the file cannot be used.
    """
    file = environ.get(f"{name}_FILE", "")
    if environ.get(name) or not file:
        return environ.get(name, "")
    try:
        value = Path(file).read_text(encoding="utf-8").strip()
        reason = "" if value else "the file is empty"
    except (OSError, UnicodeError) as error:
        value, reason = "", getattr(error, "strerror", None) or "the file is not UTF-8 text"
    if reason:
        raise setting_error(
            f"{name}_FILE",
            f"{file} cannot be used: {reason}",
            f"the value of {name} is read from that file",
            f"make the file readable for uid {os.getuid()}, or set {name} itself",
        )
    return value


def setting_error(name: str, error: str, cause: str, fix: str) -> StackError:
    """The error of one setting, which ends a process with EXIT_CONFIG."""
    return StackError(f"{name}: {error}", cause, fix, EXIT_CONFIG)


class _Values(dict[str, str]):
    """The settings by name. A default is computed when it is first read, since it may depend on other settings."""

    def __init__(self, environ: Mapping[str, str]):
        super().__init__()
        self._environ = environ
        self.errors: dict[str, StackError] = {}

    def __missing__(self, name: str) -> str:
        setting = _BY_NAME[name]
        try:
            value = _set_value(self._environ, name)
        except StackError as error:
            value, self.errors[name] = "", error
        wrong = setting.check(value) if value else ""
        if wrong:
            value, self.errors[name] = (
                "",
                setting_error(
                    name,
                    wrong,
                    f"{name} is: {setting.meaning}",
                    f"set {name}={setting.example}, for example, or remove {name} to use the default",
                ),
            )
        self[name] = value or (setting.default(self) if callable(setting.default) else setting.default)
        return self[name]


def _contradictions(values: Mapping[str, str]) -> dict[str, StackError]:
    """Errors of values that are valid each by itself, by the name of the setting to change."""
    if not (is_sample_app(values) and values["SMTP_URL"] and "*" in values["ALLOWED_HOSTS"]):
        return {}
    return {
        "ALLOWED_HOSTS": setting_error(
            "ALLOWED_HOSTS",
            "any host is allowed although SMTP_URL is set",
            "mailed links contain the host of the request: an attacker could send a password reset link that leads "
            "to a host of their own",
            "set ALLOWED_HOSTS=app.example.com, with the host names of this app",
        )
    }


def load_settings(environ: Mapping[str, str], only: set[str] | None = None) -> dict[str, str]:
    """All settings, or only those named, with defaults filled in. Raises StackErrors if any value is invalid."""
    names = [setting.name for setting in SETTINGS if only is None or setting.name in only]
    values = _Values(environ)
    found = {name: values[name] for name in names}
    errors = _contradictions(values) | values.errors if "ALLOWED_HOSTS" in found else values.errors
    if any(name in errors for name in names):
        raise StackErrors(errors[name] for name in names if name in errors)
    return found


def socket_path(values: Mapping[str, str]) -> str:
    """This container's own Unix socket: host names are unique among the containers that share the directory."""
    return os.path.join(values["RUNTIME_DIRECTORY"], f"{os.uname().nodename}.sock")
