"""The settings: every environment variable of the stack, declared once with its default, meaning and check.

Operators set them in the environment or in `.env`. `load_settings()` checks all values and fills in the defaults;
every entry point and `./stack up` call it before they do anything else. An empty value counts as unset. Any NAME can be
given as NAME_FILE, the path of a file that contains the value (the convention of Docker secrets).

docs/reference/settings.md and .env.example are generated from this file: ./stack docs.

Only the standard library, Python 3.10 or newer: `./stack` imports this file on the host.
"""

import os
import shutil
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass
from pathlib import Path

from deploy import resources, websocket_paths
from deploy import setting_checks as check
from deploy.errors import EXIT_CONFIG, StackError, StackErrors

ROOT = Path(__file__).resolve().parent.parent
SERVERS = Path(__file__).resolve().parent / "servers"
LOG_LEVELS = ("debug", "info", "warning", "error", "critical")
SAMPLE_APP = "app.wsgi:application"

MAX_WORKERS = 256
MAX_BACKLOG = 4096  # default of net.core.somaxconn since Linux 5.4
QUEUE_PER_THREAD = 16  # the last of 16 queued requests waits for 16 request durations

# Seconds. SHUTDOWN_GRACE is at most MAX_SHUTDOWN_GRACE; whatever runs the processes kills them after KILL_AFTER
# (Compose's stop_grace_period, systemd's TimeoutStopSec, honcho's KILL_WAIT).
MAX_SHUTDOWN_GRACE = 60
KILL_AFTER = 65

LIVENESS_PATH = "/healthz"  # answered by deploy/middleware/liveness.py for every app; READY_PATH is the app's own
APP_UID = 10001  # user and group `tripod` of the images (Dockerfile), and the group of the sockets' folder


@dataclass(frozen=True)
class Setting:
    """One setting.

    meaning: what it does, in Markdown. default: the value if it is unset, or a function of the other settings.
    check: why a value is invalid, or an empty string. default_text: how the reference describes a computed default.
    group: its section in the reference. The settings of SAMPLE are checked for the sample app alone, since a custom app
    may use the same names for something else.
    """

    name: str
    group: str
    meaning: str
    example: str
    check: check.Check
    default: str | Callable[[Mapping[str, str]], str] = ""
    default_text: str = ""


def server_names() -> list[str]:
    """The valid values of WSGI_SERVER: the folders of deploy/servers."""
    return sorted(run.parent.name for run in SERVERS.glob("*/run"))


def require_server_program(server: str) -> None:
    """Raise StackError unless the program in the file `needs` of the server's folder is installed."""
    programs = {needs.parent.name: needs.read_text().strip() for needs in SERVERS.glob("*/needs")}
    installed = sorted(name for name, program in programs.items() if shutil.which(program))
    if server in programs and server not in installed:
        raise setting_error(
            "WSGI_SERVER",
            f"{server} cannot run here: the program {programs[server]} is not installed",
            "not every target has every server; Heroku, for example, has no Apache",
            f"set WSGI_SERVER={' or '.join(installed)}" if installed else "install the packages of Pipfile.lock",
        )


def profile_database_url() -> str:
    """The DATABASE_URL of the profile `postgres`, empty without the profile.

    The file stays in the volume while that server is stopped. Otherwise the app would fall back to an empty SQLite
    database, as if all data were lost.
    """
    try:
        return Path("/run/postgresql/database_url").read_text().strip()
    except OSError:
        return ""


def is_sample_app(values: Mapping[str, str]) -> bool:
    """Whether the settings run the sample app, not a custom one."""
    return values["WSGI_APP"] == SAMPLE_APP and not values["APP_DIR"]


def _default_database(values: Mapping[str, str]) -> str:
    return profile_database_url() or f"sqlite:///{values['STATE_DIRECTORY']}/app.db"


def _default_queue(values: Mapping[str, str]) -> str:
    threads = int(values["WEB_CONCURRENCY"]) * int(values["WEB_THREADS"])
    return str(min(MAX_BACKLOG, QUEUE_PER_THREAD * threads))


def _default_workers(values: Mapping[str, str]) -> str:
    return str(min(MAX_WORKERS, resources.default_workers()))


def _default_release_command(values: Mapping[str, str]) -> str:
    return "python3 -m app.migrations" if is_sample_app(values) else "true"


def _default_preload(values: Mapping[str, str]) -> str:
    # Connections that a custom app opens while it is loaded would be shared by all processes. The sample opens none.
    return "on" if is_sample_app(values) else "off"


APP, SERVER, LIMITS, NETWORK = "App", "WSGI server", "Timeouts and limits", "Network"
DATA, LOGS, ROLLOUTS = "Data and secrets", "Logs", "Rollouts (./stack only)"
CONTAINERS, IMAGES = "Containers (Compose only)", "Images and builds"
SAMPLE, FOLDERS = "Sample app only", "Folders (targets without Compose)"
HOST_ONLY = (ROLLOUTS, CONTAINERS, IMAGES)  # read on the host by ./stack or Compose, unknown in the containers

SETTINGS = (
    Setting(
        "APP_DIR",
        APP,
        "Root folder of a custom app, with its `requirements.txt`.",
        "../shop",
        check.anything,
        default_text="the sample app in `app/`",
    ),
    Setting(
        "WSGI_APP",
        APP,
        "App object, as `module:callable` or `module:factory()`, importable from the app's root folder.",
        "shop:make_app()",
        check.app_object,
        SAMPLE_APP,
    ),
    Setting(
        "BUILD_COMMAND",
        APP,
        "Command that runs in the app's root folder when the image is built, before static files are collected.",
        "python manage.py collectstatic --noinput",
        check.anything,
    ),
    Setting(
        "STATIC_SOURCE",
        APP,
        "Folder in the app's root folder whose files Nginx serves below `/static/`.",
        "shop/static",
        check.anything,
        "static",
    ),
    Setting(
        "RELEASE_COMMAND",
        APP,
        "Command that runs in the app's root folder before a release receives requests, usually database migrations.",
        "python manage.py migrate",
        check.anything,
        _default_release_command,
        "migrations of the sample app; nothing for a custom app",
    ),
    Setting(
        "READY_PATH",
        APP,
        "Path that answers 2xx or 3xx when the app can serve requests. A custom app may only have `/`.",
        "/",
        check.url_path,
        "/readyz",
    ),
    Setting(
        "PRELOAD",
        APP,
        "Load the app once and fork the worker processes from it (Gunicorn and uWSGI): faster start, less memory. The "
        "app must neither open connections nor start threads while it is imported.",
        "off",
        check.on_or_off,
        _default_preload,
        "`on` for the sample app, `off` for a custom app",
    ),
    Setting(
        "WSGI_SERVER",
        SERVER,
        "WSGI server that runs the app: the name of a folder in `deploy/servers`.",
        "uwsgi",
        check.one_of(server_names),
        "gunicorn",
    ),
    Setting(
        "WEB_CONCURRENCY",
        SERVER,
        "Worker processes. The default respects the CPU and memory limits of the container.",
        "2",
        check.number(1, MAX_WORKERS),
        _default_workers,
        "one per CPU, if memory suffices",
    ),
    Setting("WEB_THREADS", SERVER, "Threads per worker process.", "4", check.number(1, 256), "4"),
    Setting(
        "WEB_QUEUE",
        SERVER,
        "Requests that may wait for a free thread. Further requests get 503 with `Retry-After` at once.",
        "64",
        check.number(1, MAX_BACKLOG),
        _default_queue,
        f"{QUEUE_PER_THREAD} per thread",
    ),
    Setting(
        "MAX_REQUESTS",
        SERVER,
        "Restart a worker process after about this many requests; 0 disables it.",
        "10000",
        check.number(0, 999_999_999),
        "0",
    ),
    Setting(
        "REQUEST_TIMEOUT",
        LIMITS,
        "Seconds after which a stuck request is ended with 504, on every server alike.",
        "30",
        check.number(1, 3600),
        "30",
    ),
    Setting(
        "STREAM_TIMEOUT",
        LIMITS,
        "Seconds without an event after which a stream of server-sent events is ended. It occupies a thread meanwhile.",
        "300",
        check.number(1, 3600),
        "300",
    ),
    Setting(
        "SHUTDOWN_GRACE",
        LIMITS,
        "Seconds that in-flight requests have to finish after SIGTERM.",
        "25",
        check.number(1, MAX_SHUTDOWN_GRACE),
        "25",
    ),
    Setting(
        "MAX_BODY_SIZE",
        LIMITS,
        "Maximum size of a request body, in bytes or with k, m or g. Larger bodies get 413 from Nginx, server and app.",
        "10m",
        # Below 1 KiB no form fits; above 4 GiB uWSGI 2.0 and 32-bit counters differ.
        check.size(1024, 4 * 1024**3),
        "10m",
    ),
    Setting(
        "CLIENT_CONNECTIONS",
        LIMITS,
        "Maximum concurrent requests per client IP; excess requests get 429. A client may have twice as many open "
        "connections. 0 disables both.",
        "100",
        check.number(0, 65535),
        "1000",
    ),
    Setting(
        "CLIENT_REQUESTS",
        LIMITS,
        "Maximum concurrent requests per client IP to the app, with uploads and WebSockets; excess requests get 429. "
        "From `WEB_QUEUE` on, one client can fill the queue. 0 disables it.",
        "100",
        check.number(0, 65535),
        "32",
    ),
    Setting(
        "CLIENT_RATE",
        LIMITS,
        "Maximum requests per second and client IP that reach the app; excess requests get 429. 0 disables it.",
        "50",
        check.number(0, 1_000_000),
        "0",
    ),
    Setting(
        "KEEP_ALIVE",
        LIMITS,
        "Seconds for which an idle connection of a client stays open. It must exceed the time of a load balancer in "
        "front: often 60 s, Heroku 90 s, Azure up to 240 s, Google 600 s.",
        "620",
        check.number(1, 3600),
        "95",
    ),
    Setting(
        "ALLOWED_METHODS",
        NETWORK,
        "HTTP methods that reach the app, separated by commas; others get 405. CalDAV and WebDAV apps need more, such "
        "as `PROPFIND` and `REPORT`.",
        "GET,HEAD,POST,PUT,DELETE,OPTIONS,PROPFIND,PROPPATCH,MKCALENDAR,REPORT",
        check.methods,
        "GET,HEAD,POST,PUT,PATCH,DELETE,OPTIONS",
    ),
    Setting("HTTP_PORT", NETWORK, "TCP port that the stack is published on.", "8080", check.port, "8080"),
    Setting(
        "HTTP_BIND",
        NETWORK,
        "IP address that the stack is published on: `127.0.0.1` if a proxy on the same host is in front.",
        "127.0.0.1",
        check.ip_address,
        "0.0.0.0",
        "all IPv4 addresses; without Compose those of IPv6 too",
    ),
    Setting(
        "HEALTHZ_DETAILS",
        NETWORK,
        "Whether `/healthz` names the WSGI server and the release. They tell anyone when a release is rolled out.",
        "off",
        check.on_or_off,
        "on",
    ),
    Setting(
        "TRUSTED_PROXIES",
        NETWORK,
        "Number of proxies in front of the app whose `X-Forwarded-For` and `X-Forwarded-Proto` are trusted. 1: clients "
        "connect to Nginx directly. 2: one TLS proxy or load balancer is in front of Nginx. If the number is too high, "
        "clients can forge their address.",
        "2",
        check.number(0, 10),
        "1",
    ),
    Setting(
        "STRICT_TRANSPORT_SECURITY",
        NETWORK,
        "Header of that name (HSTS) in responses over HTTPS: browsers then use only HTTPS for this host, for `max-age` "
        "seconds. Start with a short time: browsers that have seen the header do not ask again.",
        "max-age=31536000; includeSubDomains",
        check.hsts,
        default_text="no header",
    ),
    Setting(
        "ALLOWED_HOSTS",
        NETWORK,
        "Host names that are served, separated by commas; `.example.com` includes subdomains, `*` means any. With a "
        "port, as in `example.com:8443`, the host is served on that port alone. Requests for other hosts get 400.",
        "example.com,.example.org",
        check.hosts,
        "*",
    ),
    Setting(
        "WEBSOCKET_PATHS",
        NETWORK,
        "Paths on which, and below which, clients may open WebSockets, separated by commas. Requires Gunicorn. Each "
        "open WebSocket occupies a thread.",
        "/ws,/socket.io/",
        check.websocket_paths,
        default_text="none: requests that open a WebSocket get 400",
    ),
    Setting(
        "PORT",
        NETWORK,
        "TCP port that the WSGI server listens on instead of a Unix socket. Platforms such as Heroku set it.",
        "8000",
        check.port,
    ),
    Setting(
        "DATABASE_URL",
        DATA,
        "Database of the app; `postgres://` and `postgresql://` both work.",
        "postgresql://user:password@host/name",
        check.database_url,
        _default_database,
        "SQLite in `STATE_DIRECTORY`; PostgreSQL with the profile `postgres`",
    ),
    Setting(
        "SECRET_KEY",
        DATA,
        "Key that signs sessions and forms, at least 16 characters.",
        "$(openssl rand -hex 32)",
        check.secret,
        default_text="generated once and kept in `STATE_DIRECTORY`",
    ),
    Setting(
        "SECRET_KEY_FALLBACKS",
        DATA,
        "Former values of `SECRET_KEY`, separated by commas. What they signed stays valid; nothing new is signed.",
        "the-former-key-of-at-least-16-characters",
        check.secrets,
    ),
    Setting(
        "LOG_LEVEL",
        LOGS,
        "Minimum level of log lines: " + ", ".join(f"`{level}`" for level in LOG_LEVELS) + ", in any case.",
        "debug",
        check.one_of_in_any_case(lambda: LOG_LEVELS),
        "info",
    ),
    Setting(
        "MASKED_PATHS",
        LOGS,
        "Paths whose rest is a secret, separated by commas: no log line contains it. A custom app names the paths of "
        "its links that reset a password, confirm an address or invite a user.",
        "/password-reset/,/invite/",
        check.masked_paths,
        "/reset/,/confirm/",
    ),
    Setting(
        "RELEASE",
        LOGS,
        "Name of the running release, shown by `/healthz` and `./stack status`.",
        "v1.2",
        check.anything,
        "dev",
        "set when the image is built, from `git describe`",
    ),
    Setting(
        "SMOKE_CHECK_DURATION",
        ROLLOUTS,
        "Seconds in which a new container gets requests before it is promoted. It is not promoted if it answers with a "
        "5xx or not at all.",
        "10",
        check.number(1, 3600),
        "4",
    ),
    Setting(
        "WATCH_DURATION",
        ROLLOUTS,
        "Seconds for which a new container is watched after it was promoted. It is rolled back if it exits or if "
        "requests of the stack itself fail.",
        "30",
        check.number(1, 3600),
        "4",
    ),
    Setting(
        "WEB_MEMORY", CONTAINERS, "Memory limit of a web container.", "1g", check.size(64 * 1024**2, 1024**4), "512m"
    ),
    Setting(
        "NGINX_MEMORY",
        CONTAINERS,
        "Memory limit of the Nginx container.",
        "512m",
        check.size(32 * 1024**2, 1024**4),
        "256m",
    ),
    Setting(
        "POSTGRES_MEMORY",
        CONTAINERS,
        "Memory limit of the PostgreSQL container.",
        "2g",
        check.size(128 * 1024**2, 1024**4),
        "512m",
    ),
    Setting(
        "TMP_SIZE",
        CONTAINERS,
        "Size of `/tmp` in each container, which is memory. Large uploads do not use it.",
        "64m",
        check.size(1024**2, 1024**4),
        "16m",
    ),
    Setting(
        "BASE_IMAGE",
        IMAGES,
        "Image that all images are built on: Debian 13.",
        "registry.example.com/debian:trixie-slim",
        check.anything,
        "debian:trixie-slim",
    ),
    Setting(
        "IMAGE_PREFIX",
        IMAGES,
        "Registry and path in front of the names of the images.",
        "registry.example.com/shop/",
        check.anything,
    ),
    Setting("IMAGE_TAG", IMAGES, "Tag of the images.", "v1.2", check.anything, "latest"),
    Setting(
        "PIP_CONF",
        IMAGES,
        "Configuration file of pip for builds, a build secret.",
        "/etc/pip.conf",
        check.anything,
        "/dev/null",
        "made by `./stack` from the host's pip configuration",
    ),
    Setting(
        "CA_BUNDLE",
        IMAGES,
        "CA certificates for builds, a build secret, and for the app's own connections, in addition to Debian's.",
        "/etc/ssl/certs/ca-certificates.crt",
        check.anything,
        "/dev/null",
        "made by `./stack` from the host's own CA certificates",
    ),
    Setting(
        "SMTP_URL",
        SAMPLE,
        "Mail server; `smtps://` for TLS on port 465.",
        "smtp://user:password@mail.example.com:587",
        check.smtp_url,
        default_text="none: mails are logged and saved in `STATE_DIRECTORY/mail`",
    ),
    Setting("MAIL_FROM", SAMPLE, "Sender of mails.", "tripod@example.com", check.mailbox, "tripod@localhost"),
    Setting(
        "RATE_LIMITS",
        SAMPLE,
        "Rate limits for log-ins, registrations and writes; `off` for load tests.",
        "off",
        check.on_or_off,
        "on",
    ),
    Setting(
        "SESSION_LIFETIME",
        SAMPLE,
        "Seconds after a login until its session ends.",
        "86400",
        check.number(3600, 365 * 24 * 3600),
        str(14 * 24 * 3600),
    ),
    Setting(
        "SESSION_IDLE_TIMEOUT",
        SAMPLE,
        "Seconds without a request until a session ends, with an accuracy of one minute.",
        "3600",
        check.number(300, 365 * 24 * 3600),
        str(3 * 24 * 3600),
    ),
    Setting(
        "MAX_JSON_SIZE",
        SAMPLE,
        "Maximum size of a JSON body, in bytes or with k, m or g. Larger ones get 413 before they are parsed, because "
        "parsed JSON takes up to 30 times its size.",
        "256k",
        check.size(1024, 4 * 1024**3),
        "64k",
    ),
    Setting(
        "REDIS_URL",
        SAMPLE,
        "Redis server that counts requests for the rate limits.",
        "redis://host:6379/0",
        check.redis_url,
        default_text="none: the database counts",
    ),
    Setting(
        "CORS_ORIGINS",
        SAMPLE,
        "Origins whose pages may use the API with a token (never with a cookie), separated by commas, or `*`.",
        "https://app.example.com,https://example.org:8443",
        check.origins,
    ),
    Setting(
        "STATE_DIRECTORY",
        FOLDERS,
        "Persistent data: SQLite database, generated secret key.",
        "/srv/state",
        check.folder,
        "/var/lib/tripod",
    ),
    Setting(
        "RUNTIME_DIRECTORY",
        FOLDERS,
        "Unix sockets between Nginx and the WSGI servers.",
        "/run/shop",
        check.folder,
        "/run/tripod",
    ),
    Setting(
        "STATIC_ROOT",
        FOLDERS,
        "Static files of this release, built with hashed names.",
        "/srv/static",
        check.folder,
        str(ROOT / "static"),
        "`static` in the app's root folder",
    ),
    Setting(
        "ASSETS_DIRECTORY",
        FOLDERS,
        "Published static files of this and earlier releases, which Nginx serves.",
        "/srv/assets",
        check.folder,
        "/var/lib/tripod-assets",
    ),
    Setting(
        "CACHE_DIRECTORY",
        FOLDERS,
        "Nginx's own files: rendered configuration, page cache, large bodies.",
        "/srv/cache",
        check.folder,
        "/var/cache/nginx",
    ),
)

_BY_NAME = {setting.name: setting for setting in SETTINGS}


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
            fix = f"set {name}={setting.example}, for example, or remove {name} to use the default"
            value, self.errors[name] = "", setting_error(name, wrong, setting.meaning, fix)
        self[name] = value or (setting.default(self) if callable(setting.default) else setting.default)
        return self[name]


def _wrong_database(values: Mapping[str, str]) -> StackError | None:
    reason = check.sample_database_url(values["DATABASE_URL"], values["STATE_DIRECTORY"])
    if not (is_sample_app(values) and reason):
        return None
    return setting_error(
        "DATABASE_URL",
        reason,
        "the sample app works with PostgreSQL (psycopg) and with SQLite in STATE_DIRECTORY",
        "set DATABASE_URL=postgresql://user:password@host/name, or remove DATABASE_URL to use SQLite",
    )


def _any_host_with_mails(values: Mapping[str, str]) -> StackError | None:
    if not (is_sample_app(values) and values["SMTP_URL"] and "*" in values["ALLOWED_HOSTS"]):
        return None
    return setting_error(
        "ALLOWED_HOSTS",
        "any host is allowed although SMTP_URL is set",
        "mailed links contain the host of the request: an attacker could send a password reset link that leads "
        "to a host of their own",
        "set ALLOWED_HOSTS=app.example.com, with the host names of this app",
    )


def _unusable_websockets(values: Mapping[str, str]) -> StackError | None:
    value, server, ready = values["WEBSOCKET_PATHS"], values["WSGI_SERVER"], values["READY_PATH"]
    if not value:
        return None
    if server != "gunicorn":
        cause = "only Gunicorn passes the connection to the app, so that the app can take it over"
        fix = "set WSGI_SERVER=gunicorn, or remove WEBSOCKET_PATHS"
        return setting_error("WEBSOCKET_PATHS", f"{server} has no WebSockets for WSGI apps", cause, fix)
    if values["WEB_THREADS"] == "1":
        cause = "an open WebSocket occupies a thread, and each worker process keeps one thread for requests"
        fix = "set WEB_THREADS to the number of WebSockets for each worker process + 1"
        return setting_error("WEBSOCKET_PATHS", "WEB_THREADS is 1", cause, fix)
    if any(check.covers(path, ready) for path in websocket_paths.paths(value)):
        cause = "the health check asks for READY_PATH with a plain request"
        fix = "set WEBSOCKET_PATHS to a path that does not include READY_PATH"
        return setting_error("WEBSOCKET_PATHS", f"it includes READY_PATH, {ready}", cause, fix)
    return None


# Errors of values that are valid each by itself, by the name of the setting to change.
_CONTRADICTIONS: dict[str, Callable[[Mapping[str, str]], StackError | None]] = {
    "DATABASE_URL": _wrong_database,
    "ALLOWED_HOSTS": _any_host_with_mails,
    "WEBSOCKET_PATHS": _unusable_websockets,
}


# Variables by which an app may be meant to be mounted below a path. Gunicorn alone reads the first one, and would then
# refuse every other path, the health check's too; no server reads the second one.
MOUNT_VARIABLES = ("SCRIPT_NAME", "MOUNT_PATH")


def _mount_errors(environ: Mapping[str, str]) -> list[StackError]:
    return [
        setting_error(
            name,
            f"the app cannot be mounted at {environ[name]} by the environment",
            "the WSGI servers would differ, or ignore it",
            f"remove {name}, and mount the app in WSGI_APP: DispatcherMiddleware(other, {{{environ[name]!r}: app}}) of "
            "werkzeug.middleware.dispatcher",
        )
        for name in MOUNT_VARIABLES
        if environ.get(name, "").strip("/")
    ]


def _is_read(setting: Setting, values: Mapping[str, str], only: set[str] | None) -> bool:
    if only is not None:
        return setting.name in only
    return setting.group not in HOST_ONLY and (setting.group != SAMPLE or is_sample_app(values))


def load_settings(environ: Mapping[str, str], only: set[str] | None = None) -> dict[str, str]:
    """Return the settings, or only those named, with defaults filled in.

    Without `only`, the groups of HOST_ONLY are left out, and for a custom app SAMPLE is too: the values of these
    settings reach it unchanged. Raises StackErrors if any value is invalid.
    """
    values = _Values(environ)
    names = [setting.name for setting in SETTINGS if _is_read(setting, values, only)]
    found = {name: values[name] for name in names}
    # With `only`, the settings that a value contradicts may be unknown here.
    contradictions = {name: wrong(values) for name, wrong in _CONTRADICTIONS.items() if only is None}
    errors = {name: error for name, error in contradictions.items() if error} | values.errors
    refused = [*_mount_errors(environ), *(errors[name] for name in names if name in errors)]
    if refused:
        raise StackErrors(refused)
    return found


def export_settings(settings: Mapping[str, str], environ: MutableMapping[str, str] = os.environ) -> None:
    """Set the settings in the process environment, and remove those that have no value.

    An empty string would reach the app as if it were a value: int(os.environ.get("PORT", 5000)) fails with it.
    """
    for name, value in settings.items():
        if value:
            environ[name] = value
        else:
            environ.pop(name, None)


def socket_path(values: Mapping[str, str]) -> str:
    """This container's own Unix socket: host names are unique among the containers that share the directory."""
    return os.path.join(values["RUNTIME_DIRECTORY"], f"{os.uname().nodename}.sock")
