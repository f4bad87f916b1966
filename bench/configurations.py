"""The configurations that are measured: what each of them consists of, and which workloads it serves."""

import os
from collections.abc import Mapping, Sequence

from bench.containers import Change, Configuration
from bench.workloads import CACHED, JSON, OVERLOADED, STATIC, TIMELINE, Workload
from deploy.settings import server_names

# Settings for bench/workload, which runs in every configuration unless a custom app is measured. They are those of the
# sample app, which is the larger part of it.
WORKLOAD_SETTINGS = {
    "WSGI_APP": "workload:application",
    "READY_PATH": "/readyz",
    "RELEASE_COMMAND": "sh /opt/workload/prepare",
    "PRELOAD": "on",
}
CUSTOM_APP_DEFAULTS = {"READY_PATH": "/", "RELEASE_COMMAND": "true"}
DEFAULT_SERVER = "gunicorn"
# The whole load comes from one client address.
NO_CLIENT_LIMITS = {"CLIENT_CONNECTIONS": "0", "CLIENT_REQUESTS": "0", "CLIENT_RATE": "0"}

# --- ablation: parts of the stack that are replaced by what most deployments have, or left out ------------------------

TCP = (
    Change("deploy/servers/gunicorn/gunicorn.conf.py", "f\"unix:{_setting('SOCKET')}\"", '"0.0.0.0:8000"'),
    Change("nginx/nginx.conf", "server unix:${RUNTIME_DIRECTORY}/current.sock", "server web:8000"),
    # It would wait for the socket.
    Change("deploy/start", "        handover.promote_when_ready(settings)\n", ""),
)
GTHREAD = (
    Change(
        "deploy/servers/gunicorn/gunicorn.conf.py",
        '"gthread" if _port else "deploy.servers.gunicorn.worker.Worker"',
        '"gthread"',
    ),
)
LOG_BY_LINE = (Change("nginx/conf.d/logging.conf", " buffer=4k flush=1s;", ";"),)
NO_PCRE_JIT = (Change("nginx/nginx.conf", "pcre_jit on;", "pcre_jit off;"),)
NO_WATCHDOG = (Change("deploy/middleware/__init__.py", "    request_timeout,\n)", ")"),)
NO_MIDDLEWARE = (
    Change(
        "deploy/wsgi.py",
        'return middleware.wrap(load_app(settings["WSGI_APP"]), settings)',
        'return load_app(settings["WSGI_APP"])',
    ),
)
NO_LIMITS = (
    Change("nginx/settings.conf.template", "limit_conn client_connections ${MAX_CONNECTIONS};\n", ""),
    Change("nginx/snippets/proxy.conf", "limit_req zone=client_rate burst=${MAX_RATE} nodelay;\n", ""),
)

# Left out one at a time, with Gunicorn: the name of the configuration, what differs, and the changes.
ABLATIONS = (
    ("tcp", "TCP instead of the Unix socket", TCP),
    ("gthread", "Gunicorn's gthread instead of `worker.py`", GTHREAD),
    ("log-by-line", "access log line by line instead of 4 kB at a time", LOG_BY_LINE),
    ("no-pcre-jit", "without `pcre_jit`", NO_PCRE_JIT),
    ("no-watchdog", "without the watchdog", NO_WATCHDOG),
    ("no-middleware", "without the middleware, which includes the watchdog", NO_MIDDLEWARE),
    ("no-limits", "without Nginx's limits for each client", NO_LIMITS),
)


# --- configurations ---------------------------------------------------------------------------------------------------


def app_settings(app: str | None) -> dict[str, str]:
    """The settings of what is measured: `app`, the module:callable of a custom app, or bench/workload."""
    if not app:
        return WORKLOAD_SETTINGS
    own = {name: os.environ.get(name, default) for name, default in CUSTOM_APP_DEFAULTS.items()}
    return own | {"WSGI_APP": app}


def _stack(name: str, title: str, kind: str, env: Mapping[str, str], **options) -> Configuration:
    # TCP needs a network with names; the others use a bridge without (bench/stack.yml).
    files = ("docker-compose.yml", "bench/stack.yml", *(("bench/tcp.yml",) if name == "tcp" else ()))
    return Configuration(name, title, kind, ("nginx", "web"), files, NO_CLIENT_LIMITS | env, **options)


def default_stack() -> Configuration:
    """The stack with the sample app and without any setting: what `docker compose up` starts."""
    return _stack("default", "Tripod with its defaults", "stack", dict.fromkeys(WORKLOAD_SETTINGS, ""))


def all_configurations(app: str | None = None) -> dict[str, Configuration]:
    """All configurations by name. `app` is the module:callable of a custom app to measure.

    kind: "stack" is this stack with each WSGI server. "one-thread", "plain" and "ablation" are variants of it,
    "reference" a common configuration for comparison, "copied" the simplest one of these, and "bound" a lower bound.
    """
    settings = app_settings(app)

    def names(workloads: Sequence[Workload] | None) -> frozenset[str] | None:
        return None if app or workloads is None else frozenset(workload.name for workload in workloads)

    def variants(server: str):
        # Nginx answers the others, and one server is enough for that.
        workloads = names(None if server == DEFAULT_SERVER else (JSON, TIMELINE, *OVERLOADED))

        def variant(name: str, title: str, kind: str, changes: tuple[Change, ...] = (), **env: str):
            env = settings | {"WSGI_SERVER": server} | env
            return _stack(name, f"Tripod, {title}", kind, env, workloads=workloads, server=server, changes=changes)

        yield variant(server, server, "stack")
        yield variant(f"{server}-one-thread", f"{server}, one thread", "one-thread", WEB_THREADS="1")
        plain = f"{server} without middleware, watchdog and limits"
        yield variant(f"{server}-plain", plain, "plain", NO_MIDDLEWARE + NO_LIMITS)
        if server == DEFAULT_SERVER:
            for name, title, changes in ABLATIONS:
                yield variant(name, title, "ablation", changes)

    def other(name: str, title: str, server: str, workloads=None, kind="reference", services=()):
        files = ("bench/reference/compose.yml",)
        return Configuration(name, title, kind, (name, *services), files, settings, names(workloads), server)

    tcp, copied = ("nginx-tcp-app",), ("copied-app",)
    own = [configuration for server in server_names() for configuration in variants(server)]
    others = [
        other("nginx-tcp", "Nginx → TCP, keep-alive → Gunicorn gthread", "gunicorn", services=tcp),
        other("single-container", "Nginx + uWSGI in one container", "uwsgi", (JSON, TIMELINE)),
        other("mod_wsgi-express", "mod_wsgi-express without a proxy", "mod_wsgi", (JSON, TIMELINE)),
        other("copied", "Nginx → TCP → gunicorn -w 3", "gunicorn", (JSON,), "copied", copied),
        other("bare-nginx", "bare Nginx", "", (STATIC, CACHED), "bound"),
        other("bare-callable", "WSGI callable in process", "", (JSON, TIMELINE), "bound"),
    ]
    if app:  # bare Nginx has no app
        others = [configuration for configuration in others if configuration.name != "bare-nginx"]
    return {configuration.name: configuration for configuration in own + others}


# Which kinds of configurations each part of the benchmark measures.
PARTS = {
    "comparison": ("stack", "reference", "bound"),
    "ablation": ("stack", "plain", "ablation", "copied"),
    "latency": ("stack", "one-thread", "reference"),
    "overload": ("stack",),
}
