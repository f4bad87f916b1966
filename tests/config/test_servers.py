"""Gunicorn, uWSGI, Apache and Nginx accept their configuration files, as their `run` starts them with the settings."""

import os
import re

import pytest

from deploy import network
from deploy.middleware import request_timeout
from deploy.settings import LOG_LEVELS, MAX_SHUTDOWN_GRACE, ROOT, SERVERS, server_names
from tests.support.repository import tool
from tests.support.wsgi import script, settings

# Any WSGI app: the standard library's demo is imported faster than the sample app.
DEMO_APP = {"WSGI_APP": "wsgiref.simple_server:demo_app"}

EXTREMES = [
    {},
    {"PORT": "8000"},
    {
        "LOG_LEVEL": "debug",
        "MAX_REQUESTS": "1",
        "WEB_CONCURRENCY": "1",
        "WEB_THREADS": "1",
        "MAX_BODY_SIZE": "1k",
    },
    {"LOG_LEVEL": "warning", "MAX_REQUESTS": "999999999", "WEB_THREADS": "256", "REQUEST_TIMEOUT": "3600"},
    {"LOG_LEVEL": "CRITICAL", "SHUTDOWN_GRACE": str(MAX_SHUTDOWN_GRACE), "REQUEST_TIMEOUT": "1"},
]
with_extreme_settings = pytest.mark.parametrize(
    "environ", EXTREMES, ids=["defaults", "port", "small", "large", "grace"]
)


@pytest.mark.parametrize("server", server_names())
def test_server_folder_is_complete(server):
    """Each server's folder has an executable `run`, `needs`, and a configuration file of the server."""
    folder = SERVERS / server
    assert os.access(folder / "run", os.X_OK)
    program = (folder / "needs").read_text().strip()
    assert program in (folder / "run").read_text(), "run does not call the program in `needs`"
    native = [path for path in folder.iterdir() if path.suffix in {".conf", ".ini", ".py", ".toml", ".yml"}]
    assert native
    assert any(path.name in (folder / "run").read_text() for path in native), (
        "run uses no configuration file of its folder"
    )


@with_extreme_settings
def test_gunicorn_accepts_its_file(run_server, environ):
    """gunicorn --check-config accepts gunicorn.conf.py and loads the app: by default the sample app."""
    app = DEMO_APP if environ else {}
    done = run_server("gunicorn", "gunicorn", 'exec $PROGRAM --check-config "$@"', **app, **environ)
    assert done.returncode == 0, done.stderr


@with_extreme_settings
@pytest.mark.needs("uwsgi")
def test_uwsgi_accepts_its_file(run_server, environ):
    """uWSGI in strict mode accepts every option of uwsgi.ini and would start."""
    done = run_server("uwsgi", "uwsgi", 'exec $PROGRAM "$@" --no-server', **environ)
    assert done.returncode == 0, done.stderr
    assert "no-server mode requested" in done.stdout + done.stderr


@pytest.mark.needs("uwsgi")
def test_uwsgi_is_strict(run_server):
    """uWSGI refuses unknown options, so that a typing error is not ignored."""
    done = run_server("uwsgi", "uwsgi", 'exec $PROGRAM "$@" --no-server --set-placeholder x=y --no-such-option')
    assert done.returncode != 0
    ini = (SERVERS / "uwsgi/uwsgi.ini").read_text()
    assert "\nstrict = true\n" in ini


@with_extreme_settings
@pytest.mark.needs("apache2")
def test_apache_accepts_its_file(run_server, environ):
    """apache2 -t accepts httpd.conf with and without PORT, and prints no warning."""
    done = run_server("mod_wsgi", "apache2", 'exec $PROGRAM -t "$@"', **environ)
    assert (done.returncode, done.stderr.strip()) == (0, "Syntax OK")


@pytest.mark.needs("apache2")
def test_apache_has_port_only_if_it_is_set(run_server):
    """`run` defines PORT for Apache only if the setting is set."""
    for environ, defined in (({}, ""), ({"PORT": "8000"}, "-DPORT")):
        done = run_server("mod_wsgi", "apache2", 'for a in "$@"; do case $a in -DPORT) echo $a; esac; done', **environ)
        assert done.stdout.strip() == defined


# --- the same settings for all servers --------------------------------------------------------------------------------


def gunicorn_values(run_server, **environ: str) -> dict[str, str]:
    """Gunicorn's settings as Gunicorn prints them."""
    done = run_server("gunicorn", "gunicorn", 'exec $PROGRAM --print-config "$@"', **DEMO_APP | environ)
    assert done.returncode == 0, done.stderr
    return {key.strip(): value.strip() for key, _, value in (li.partition("=") for li in done.stdout.splitlines())}


@pytest.mark.parametrize("timeout", [1, 30, 3600])
@pytest.mark.needs("apache2")
def test_timeouts_are_in_order(run_server, monkeypatch, timeout):
    """The three steps of the watchdog are in order, and come before the timeouts of server and Nginx."""
    environ = {"REQUEST_TIMEOUT": str(timeout)}
    monkeypatch.setattr(os, "environ", environ | {"PATH": os.environ["PATH"]})
    nginx = int(script("nginx/start").template_values()["PROXY_TIMEOUT"])
    gunicorn = int(gunicorn_values(run_server, **environ)["timeout"])
    apache = int(run_server("mod_wsgi", "apache2", 'echo "$APACHE_TIMEOUT"', **environ).stdout)
    ends = timeout + request_timeout.TICK
    exits = timeout + request_timeout.EXIT_DELAY + request_timeout.TICK
    last = timeout + request_timeout.FAULTHANDLER_DELAY + request_timeout.TICK
    assert (
        timeout
        < ends
        < timeout + request_timeout.EXIT_DELAY
        < exits
        < timeout + request_timeout.FAULTHANDLER_DELAY
        < last
    )
    assert last < min(nginx, gunicorn, apache)


@pytest.mark.parametrize("number", [1, 9, 30, 95, 1000, 3599, 3600])
def test_nginx_compares_numbers(number):
    """The regular expression for "this number or more" matches exactly those numbers."""
    pattern = re.compile(script("nginx/start").at_least_pattern(number))
    assert [other for other in range(12_000) if bool(pattern.fullmatch(str(other))) != (other >= number)] == []


@pytest.mark.needs("apache2")
def test_requests_wait_in_one_place(run_server):
    """Behind Nginx no server accepts more requests than it has threads: further ones wait in the limited queue."""
    environ = {"WEB_CONCURRENCY": "3", "WEB_THREADS": "7"}
    # Its threads accept one connection each: tests/unit/deploy/test_gunicorn_worker.py.
    assert gunicorn_values(run_server, **environ)["worker_class"] == "deploy.servers.gunicorn.worker.Worker"
    assert run_server("mod_wsgi", "apache2", 'echo "$ALL_THREADS"', **environ).stdout.strip() == "21"
    httpd = (ROOT / "deploy/servers/mod_wsgi/httpd.conf").read_text()
    assert "MaxRequestWorkers ${ALL_THREADS}\n" in httpd


def test_gunicorn_heartbeats_are_in_memory(run_server):
    """The heartbeat files of Gunicorn's workers are in memory: on a slow disk workers would block and be killed."""
    assert gunicorn_values(run_server)["worker_tmp_dir"] == "/dev/shm"


def test_gunicorn_uses_the_settings(run_server):
    """Worker processes, threads, grace and restarts of Gunicorn are those of the settings."""
    environ = {"WEB_CONCURRENCY": "3", "WEB_THREADS": "7", "SHUTDOWN_GRACE": "9", "MAX_REQUESTS": "1000"}
    found = gunicorn_values(run_server, **environ)
    names = ("workers", "threads", "graceful_timeout", "max_requests", "backlog", "worker_class")
    assert [found[name] for name in names] == ["3", "7", "9", "1000", "128", "deploy.servers.gunicorn.worker.Worker"]


@pytest.mark.parametrize("environ", [{}, {"PORT": "8000"}], ids=["socket", "port"])
@pytest.mark.needs("uwsgi")
def test_servers_listen_on_socket_or_port(run_server, environ):
    """Gunicorn and uWSGI listen on the container's own socket, or on PORT on all addresses."""
    wanted = f"{network.any_address()}:8000" if environ else ".sock"
    assert wanted in gunicorn_values(run_server, **environ)["bind"]
    assert wanted in run_server("uwsgi", "uwsgi", 'echo "$@"', **environ).stdout


def test_containers_are_killed_after_the_grace(compose):
    """Docker waits longer than any SHUTDOWN_GRACE before it kills a container."""
    for name in ("nginx", "web", "postgres"):
        grace = compose["services"][name]["stop_grace_period"]
        seconds = sum(int(n) * {"m": 60, "s": 1}[unit] for n, unit in re.findall(r"(\d+)(m|s)", grace))
        assert seconds > MAX_SHUTDOWN_GRACE, name


# --- Nginx --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", LOG_LEVELS)
@pytest.mark.parametrize("environ", [{}, {"MAX_BODY_SIZE": "4g", "REQUEST_TIMEOUT": "3600", "TRUSTED_PROXIES": "2"}])
@pytest.mark.needs("nginx")
def test_nginx_accepts_its_files(environ, level):
    """nginx -t accepts its configuration, rendered with the settings, and prints no warning."""
    done = tool(ROOT / "nginx/start", "-t", LOG_LEVEL=level, **environ)
    assert done.returncode == 0, done.stderr
    assert "[warn]" not in done.stderr and "test is successful" in done.stderr


def test_gixy_accepts_nginx_files(tmp_path, monkeypatch):
    """gixy finds no issue in Nginx's configuration."""
    monkeypatch.setattr(os, "environ", {"PATH": os.environ["PATH"], "CACHE_DIRECTORY": str(tmp_path)})
    start = script("nginx/start")
    done = tool("gixy", start.render_configuration(start.template_values()) / "nginx.conf", PATH=os.environ["PATH"])
    assert done.returncode == 0 and "No issues found" in done.stdout, done.stdout + done.stderr


@pytest.mark.needs("nginx")
def test_nginx_uses_the_settings():
    """Size limit, timeout and grace are in Nginx's configuration, each once."""
    done = tool(
        ROOT / "nginx/start", "-T", MAX_BODY_SIZE="7m", REQUEST_TIMEOUT="9", STREAM_TIMEOUT="11", SHUTDOWN_GRACE="9"
    )
    assert done.stdout.count("client_max_body_size 7m;") == 1
    assert done.stdout.count("proxy_read_timeout 16s;") == 1
    assert "worker_shutdown_timeout {values['SHUTDOWN_GRACE']}s" in (ROOT / "nginx/start").read_text()
    assert settings()["MAX_BODY_SIZE"] == "10m"


@pytest.mark.needs("nginx")
def test_clients_may_pause_for_a_minute():
    """Nginx waits 60 s for the next part of a request, and for a client that reads a response."""
    shown = tool(ROOT / "nginx/start", "-T").stdout
    for directive in ("client_header_timeout", "client_body_timeout", "send_timeout"):
        assert re.findall(rf"\b{directive} (\w+);", shown) == ["60s"], directive
