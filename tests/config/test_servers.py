"""Gunicorn, uWSGI and Apache judge their own files, called by their own `run` with the contract's values."""

import os
import re

import pytest

from deploy.middleware import request_timeout
from deploy.settings import LOG_LEVELS, MAX_SHUTDOWN_GRACE, ROOT, SERVERS, server_names
from tests.support.repository import tool
from tests.support.wsgi import script, settings

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
    {"LOG_LEVEL": "critical", "SHUTDOWN_GRACE": str(MAX_SHUTDOWN_GRACE), "REQUEST_TIMEOUT": "1"},
]
every_setting = pytest.mark.parametrize("given", EXTREMES, ids=["defaults", "port", "small", "large", "grace"])


@pytest.mark.parametrize("server", server_names())
def test_folder_has_the_same_members(server):
    """Each server's folder has an executable `run`, `needs`, and at least one file of the server's own."""
    folder = SERVERS / server
    assert os.access(folder / "run", os.X_OK)
    program = (folder / "needs").read_text().strip()
    assert program in (folder / "run").read_text(), "run does not call what the folder needs"
    native = [path for path in folder.iterdir() if path.suffix in {".conf", ".ini", ".py", ".toml", ".yml"}]
    assert native
    assert any(path.name in (folder / "run").read_text() for path in native), "run names no file of its folder"


@every_setting
def test_gunicorn_takes_its_file(run_server, given):
    """gunicorn --check-config accepts gunicorn.conf.py and loads the app."""
    done = run_server("gunicorn", "gunicorn", 'exec $PROGRAM --check-config "$@"', **given)
    assert done.returncode == 0, done.stderr


@every_setting
def test_uwsgi_takes_its_file(run_server, given):
    """uWSGI in strict mode knows every option of uwsgi.ini and would go on to serve."""
    done = run_server("uwsgi", "uwsgi", 'exec $PROGRAM "$@" --no-server', **given)
    assert done.returncode == 0, done.stderr
    assert "no-server mode requested" in done.stdout + done.stderr


def test_uwsgi_is_strict(run_server):
    """An option that uWSGI does not know stops it, so that a typing error is no silent default."""
    done = run_server("uwsgi", "uwsgi", 'exec $PROGRAM "$@" --no-server --set-placeholder x=y --no-such-option')
    assert done.returncode != 0
    ini = (SERVERS / "uwsgi/uwsgi.ini").read_text()
    assert "\nstrict = true\n" in ini


@every_setting
def test_apache_takes_its_file(run_server, given):
    """apache2 -t accepts httpd.conf with what `run` sets, with and without PORT, and warns of nothing."""
    done = run_server("mod_wsgi", "apache2", 'exec $PROGRAM -t "$@"', **given)
    assert (done.returncode, done.stderr.strip()) == (0, "Syntax OK")


def test_apache_gets_port_only_where_there_is_one(run_server):
    """-DPORT is given where PORT is set, and only there."""
    for given, defined in (({}, ""), ({"PORT": "8000"}, "-DPORT")):
        done = run_server("mod_wsgi", "apache2", 'for a in "$@"; do case $a in -DPORT) echo $a; esac; done', **given)
        assert done.stdout.strip() == defined


# --- one number for all -------------------------------------------------------------------------------------


def gunicorn_values(run_server, **given: str) -> dict[str, str]:
    """Gunicorn's settings as it understands them."""
    done = run_server("gunicorn", "gunicorn", 'exec $PROGRAM --print-config "$@"', **given)
    assert done.returncode == 0, done.stderr
    return {key.strip(): value.strip() for key, _, value in (li.partition("=") for li in done.stdout.splitlines())}


@pytest.mark.parametrize("timeout", [1, 30, 3600])
def test_timeouts_are_in_order(run_server, monkeypatch, timeout):
    """A stuck request is ended by the watchdog's three steps in turn, and only then would server and Nginx
    give up.
    """
    given = {"REQUEST_TIMEOUT": str(timeout)}
    monkeypatch.setattr(os, "environ", given | {"PATH": os.environ["PATH"]})
    nginx = int(script("nginx/start").template_values()["PROXY_TIMEOUT"])
    gunicorn = int(gunicorn_values(run_server, **given)["timeout"])
    apache = int(run_server("mod_wsgi", "apache2", 'echo "$APACHE_TIMEOUT"', **given).stdout)
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
    """The regular expression that stands for "this number or more" takes exactly those."""
    pattern = re.compile(script("nginx/start").at_least_pattern(number))
    assert [other for other in range(12_000) if bool(pattern.fullmatch(str(other))) != (other >= number)] == []


def test_requests_wait_in_one_place(run_server):
    """Behind Nginx no server accepts more than its threads work on: what waits does so in the queue that is bounded."""
    given = {"WEB_CONCURRENCY": "3", "WEB_THREADS": "7"}
    # Whose threads take a connection each: tests/unit/deploy/test_gunicorn_worker.py.
    assert gunicorn_values(run_server, **given)["worker_class"] == "deploy.servers.gunicorn.worker.Worker"
    assert run_server("mod_wsgi", "apache2", 'echo "$ALL_THREADS"', **given).stdout.strip() == "21"
    httpd = (ROOT / "deploy/servers/mod_wsgi/httpd.conf").read_text()
    assert "MaxRequestWorkers ${ALL_THREADS}\n" in httpd


def test_heartbeats_live_in_memory(run_server):
    """Gunicorn's workers write their heartbeat to memory: on a slow disk they would seem to freeze and be killed."""
    assert gunicorn_values(run_server)["worker_tmp_dir"] == "/dev/shm"


def test_gunicorn_has_the_contracts_numbers(run_server):
    """Workers, threads, grace and recycling are those of the contract."""
    given = {"WEB_CONCURRENCY": "3", "WEB_THREADS": "7", "SHUTDOWN_GRACE": "9", "MAX_REQUESTS": "1000"}
    found = gunicorn_values(run_server, **given)
    names = ("workers", "threads", "graceful_timeout", "max_requests", "backlog", "worker_class")
    assert [found[name] for name in names] == ["3", "7", "9", "1000", "128", "deploy.servers.gunicorn.worker.Worker"]


@pytest.mark.parametrize("given", [{}, {"PORT": "8000"}], ids=["socket", "port"])
def test_servers_listen_where_they_are_told(run_server, given):
    """Gunicorn and uWSGI listen on the container's own socket, or on PORT at every address."""
    wanted = "0.0.0.0:8000" if given else ".sock"
    assert wanted in gunicorn_values(run_server, **given)["bind"]
    assert wanted in run_server("uwsgi", "uwsgi", 'echo "$UWSGI_HTTP_SOCKET"', **given).stdout


def test_grace_is_shorter_than_every_container_gets(compose):
    """Docker waits longer than the longest SHUTDOWN_GRACE before it kills."""
    for name in ("nginx", "web", "postgres"):
        grace = compose["services"][name]["stop_grace_period"]
        seconds = sum(int(n) * {"m": 60, "s": 1}[unit] for n, unit in re.findall(r"(\d+)(m|s)", grace))
        assert seconds > MAX_SHUTDOWN_GRACE, name


# --- Nginx --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", LOG_LEVELS)
@pytest.mark.parametrize("given", [{}, {"MAX_BODY_SIZE": "4g", "REQUEST_TIMEOUT": "3600", "TRUSTED_PROXIES": "2"}])
def test_nginx_takes_its_files(given, level):
    """nginx -t accepts everything in nginx/ with the contract's values filled in, and warns of nothing."""
    done = tool(ROOT / "nginx/start", "-t", LOG_LEVEL=level, **given)
    assert done.returncode == 0, done.stderr
    assert "[warn]" not in done.stderr and "test is successful" in done.stderr


def test_gixy_takes_nginxs_files(tmp_path, monkeypatch):
    """gixy finds nothing in nginx/ with the contract's values filled in."""
    monkeypatch.setattr(os, "environ", {"PATH": os.environ["PATH"], "CACHE_DIRECTORY": str(tmp_path)})
    start = script("nginx/start")
    done = tool("gixy", start.render_configuration(start.template_values()) / "nginx.conf", PATH=os.environ["PATH"])
    assert done.returncode == 0 and "No issues found" in done.stdout, done.stdout + done.stderr


def test_nginx_has_the_contracts_numbers():
    """Limit, timeout and grace reach Nginx, each once."""
    done = tool(ROOT / "nginx/start", "-T", MAX_BODY_SIZE="7m", REQUEST_TIMEOUT="11", SHUTDOWN_GRACE="9")
    assert done.stdout.count("client_max_body_size 7m;") == 1
    assert done.stdout.count("proxy_read_timeout 16s;") == 1
    assert "worker_shutdown_timeout {values['SHUTDOWN_GRACE']}s" in (ROOT / "nginx/start").read_text()
    assert settings()["MAX_BODY_SIZE"] == "10m"
