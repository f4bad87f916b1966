"""deploy/start, deploy/wsgi.py, deploy/release, deploy/exec and nginx/start: preparations and errors."""

import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from deploy.errors import EXIT_CONFIG, StackError
from deploy.settings import ROOT, server_names
from tests.support.ports import free_port
from tests.support.wsgi import CLEAN, python, script

nginx = script("nginx/start")
TEMPLATE = (ROOT / "nginx/settings.conf.template").read_text()


def values(monkeypatch, **given: str) -> dict[str, str]:
    """The values that nginx/start renders its template with in this environment."""
    monkeypatch.setattr(os, "environ", given)
    return nginx.template_values()


def test_template_is_rendered(monkeypatch):
    """Every placeholder of the template is replaced by its value."""
    rendered = nginx.render(TEMPLATE, values(monkeypatch, MAX_BODY_SIZE="7m", REQUEST_TIMEOUT="400"))
    assert "client_max_body_size 7m;" in rendered
    assert "proxy_read_timeout 405s;" in rendered
    assert not re.search(r"\$\{", rendered)


def test_nginx_variables_stay():
    """Nginx's own variables are not replaced, in either spelling."""
    assert nginx.render("$host ${host} $uri ${A_B}x", {"A_B": "$host"}) == "$host ${host} $uri $hostx"


def test_unknown_name_is_an_error():
    """A placeholder without a value stops the start instead of becoming an empty value."""
    with pytest.raises(KeyError, match="NO_SUCH"):
        nginx.render("${NO_SUCH}", {})


@pytest.mark.parametrize(("count", "behind"), [("0", "0"), ("1", "0"), ("2", "1"), ("10", "1")])
def test_nginx_trusts_headers_only_behind_proxies(monkeypatch, count, behind):
    """Nginx trusts forwarded headers only with TRUSTED_PROXIES of 2 or more."""
    assert values(monkeypatch, TRUSTED_PROXIES=count)["BEHIND_PROXY"] == behind


@pytest.mark.parametrize(
    ("level", "word"),
    [
        ("debug", "debug"),
        ("info", "notice"),
        ("warning", "warn"),
        ("error", "error"),
        ("critical", "crit"),
        ("INFO", "notice"),
    ],
)
def test_log_level_of_nginx(monkeypatch, level, word):
    """LOG_LEVEL is translated to Nginx's level."""
    assert values(monkeypatch, LOG_LEVEL=level)["NGINX_LOG_LEVEL"] == word


def test_nginx_ignores_other_settings(monkeypatch):
    """Nginx ignores invalid values of settings that it does not read."""
    assert values(monkeypatch, WSGI_SERVER="none", DATABASE_URL="x")["MAX_BODY_SIZE"] == "10m"


@pytest.mark.parametrize("entry_point", ["deploy/start", "deploy/release", "nginx/start"])
def test_invalid_setting_exits_with_78(entry_point, tmp_path):
    """With an invalid setting each entry point exits with status 78, names the setting, and changes nothing."""
    done = subprocess.run(
        [sys.executable, ROOT / entry_point],
        capture_output=True,
        text=True,
        timeout=30,
        env={**CLEAN, "REQUEST_TIMEOUT": "soon", "STATE_DIRECTORY": str(tmp_path)},
    )
    assert done.returncode == 78 == EXIT_CONFIG
    assert done.stderr.startswith(entry_point)
    assert "REQUEST_TIMEOUT: 'soon' is not a whole number" in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("source", "app", "message"),
    [
        ("", "custom:application", "AttributeError"),
        ("1/0", "custom:application", "ZeroDivisionError"),
        ("application = 3", "custom:application", "is of type int, which is not callable"),
        ("raise SystemExit(3)", "custom:application", "SystemExit"),
        ("", "no_such_module:application", "ModuleNotFoundError"),
        ("def make(): return None", "custom:make()", "NoneType"),
    ],
)
@pytest.mark.parametrize(("server", "preload"), [("gunicorn", "off"), *((server, "on") for server in server_names())])
def test_app_that_cannot_be_loaded_exits_with_78(source, app, message, server, preload, tmp_path):
    """An app that cannot be imported is reported with its error, before the server starts or by its first process."""
    (tmp_path / "custom.py").write_text(source)
    done = subprocess.run(
        [sys.executable, ROOT / "deploy/start"],
        capture_output=True,
        text=True,
        timeout=30,
        env={
            **CLEAN,
            "PATH": f"{CLEAN['PATH']}:/usr/sbin",  # where Debian has apache2
            "PYTHONPATH": str(tmp_path),
            "STATE_DIRECTORY": str(tmp_path / "state"),
            "RUNTIME_DIRECTORY": str(tmp_path / "run"),
            "WSGI_APP": app,
            "WSGI_SERVER": server,
            "PRELOAD": preload,
            "PORT": str(free_port()),
        },
    )
    assert done.returncode == 78, done.stderr
    assert "deploy/start: not started." in done.stderr
    assert f"WSGI_APP: {app} cannot be loaded" in done.stderr
    assert message in done.stderr


@pytest.mark.parametrize(("server", "preload"), [("gunicorn", "off"), *((server, "on") for server in server_names())])
def test_stop_during_the_import(server, preload, tmp_path):
    """SIGTERM during the import of the app stops the start at once, also in process 1."""
    source = "import pathlib, time; pathlib.Path(__file__ + '.begun').touch(); time.sleep(60)"
    (tmp_path / "custom.py").write_text(source)
    env = {**CLEAN, "PYTHONPATH": str(tmp_path), "STATE_DIRECTORY": str(tmp_path), "WSGI_APP": "custom:app"}
    env |= {"PATH": f"{CLEAN['PATH']}:/usr/sbin", "PORT": str(free_port()), "WSGI_SERVER": server, "PRELOAD": preload}
    command = [sys.executable, ROOT / "deploy/start"]
    with subprocess.Popen(command, env=env) as starting:
        deadline = time.monotonic() + 30
        while not (tmp_path / "custom.py.begun").exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        starting.terminate()
        assert starting.wait(timeout=30) == (30 if server == "uwsgi" else 0)  # uWSGI exits with 30


@pytest.mark.parametrize(
    ("source", "spec"),
    [
        ("def app(e, s): pass", "custom:app"),
        ("class Site:\n    def wsgi(self, e, s): pass\nsite = Site()", "custom:site.wsgi"),
        ("def make():\n    return lambda e, s: []", "custom:make()"),
    ],
)
def test_forms_of_wsgi_app(source, spec, tmp_path):
    """WSGI_APP can be module:callable, module:object.attribute or module:factory()."""
    (tmp_path / "custom.py").write_text(source)
    code = "from deploy.wsgi import load_app; import sys; sys.exit(not callable(load_app(sys.argv[1])))"
    done = python(code, spec, WSGI_APP=spec, PYTHONPATH=f"{ROOT}:{tmp_path}")
    assert done.returncode == 0, done.stderr


def test_custom_app_needs_no_module_of_the_sample(tmp_path):
    """A custom app runs without any module of the sample app."""
    (tmp_path / "custom.py").write_text("def app(e, s): pass")
    code = "import sys, deploy.wsgi; sys.exit('app' in sys.modules)"
    done = python(code, WSGI_APP="custom:app", PYTHONPATH=f"{ROOT}:{tmp_path}")
    assert done.returncode == 0, done.stderr


READS_PORT = """
import os, pathlib
port = int(os.environ.get("PORT", 5000))
pathlib.Path(__file__).with_name("port").write_text(str(port))
def app(environ, start_response):
    start_response("200 OK", [])
    return [b""]
"""


@pytest.mark.parametrize("port", [{}, {"PORT": ""}], ids=["unset", "empty"])
@pytest.mark.parametrize("server", server_names())
def test_unset_setting_is_unset_for_the_app(server, port):
    """An app may have a default of its own for a setting: int(os.environ.get("PORT", 5000)) works on every server."""
    with tempfile.TemporaryDirectory(prefix="t-", dir="/tmp") as folder:  # a path short enough for a socket
        Path(folder, "custom.py").write_text(READS_PORT)
        folders = ("STATE_DIRECTORY", "RUNTIME_DIRECTORY", "ASSETS_DIRECTORY")
        env = CLEAN | {name: f"{folder}/{name.lower()}" for name in folders} | port
        env |= {"PATH": f"{CLEAN['PATH']}:/usr/sbin", "PYTHONPATH": folder, "WSGI_APP": "custom:app"}
        # With PRELOAD the server loads the app, or its `run` does. (Apache would then refuse to serve as root.)
        env |= {"WSGI_SERVER": server, "PRELOAD": "on", "READY_PATH": "/", "WEB_CONCURRENCY": "1"}
        loaded, deadline = Path(folder, "port"), time.monotonic() + 30
        with subprocess.Popen([sys.executable, ROOT / "deploy/start"], env=env) as process:
            while not (loaded.exists() and loaded.read_text()) and process.poll() is None:
                assert time.monotonic() < deadline
                time.sleep(0.05)
            process.terminate()
        assert loaded.read_text() == "5000"


@pytest.mark.parametrize("port", [{}, {"PORT": ""}], ids=["unset", "empty"])
@pytest.mark.parametrize("entry_point", [["deploy/exec", "sh", "-c"], ["deploy/release"]], ids=["exec", "release"])
def test_unset_setting_is_unset_for_commands(entry_point, port, tmp_path):
    """Commands of deploy/exec and RELEASE_COMMAND have only the settings with a value in their environment."""
    command = 'test "${PORT-unset}" = unset && test "$WEB_THREADS" = 4 && test -n "$SECRET_KEY"'
    arguments = [command] if "-c" in entry_point else []
    done = subprocess.run(
        [sys.executable, ROOT / entry_point[0], *entry_point[1:], *arguments],
        capture_output=True,
        text=True,
        timeout=30,
        env={**CLEAN, "STATE_DIRECTORY": str(tmp_path), "RELEASE_COMMAND": command, **port},
    )
    assert done.returncode == 0, done.stderr


def test_release_does_not_wait_for_files():
    """deploy/release does not wait for SQLite files and Unix sockets."""
    release = script("deploy/release")
    for url in ("sqlite:////var/lib/app.db", "postgresql:///tripod?host=/run/postgresql"):
        release.wait_for_database(url)


def test_unreachable_database_is_reported_without_password(monkeypatch):
    """A database that does not answer is reported with host and port, without the password."""
    release = script("deploy/release")
    monkeypatch.setattr(release, "DATABASE_TIMEOUT", -1)
    with pytest.raises(StackError) as error:
        release.wait_for_database("postgresql://user:hunter2@127.0.0.1:1/name")
    assert "127.0.0.1:1" in str(error.value)
    assert "hunter2" not in str(error.value)


@pytest.mark.parametrize(("command", "status"), [("true", 0), ("exit 3", 3), ('test -n "$SECRET_KEY"', 0)])
def test_release_command_sets_the_exit_status(command, status, tmp_path):
    """RELEASE_COMMAND has the settings in its environment, and its exit status is that of deploy/release."""
    done = subprocess.run(
        [sys.executable, ROOT / "deploy/release"],
        capture_output=True,
        text=True,
        timeout=30,
        env={**CLEAN, "STATE_DIRECTORY": str(tmp_path), "RELEASE_COMMAND": command},
    )
    assert done.returncode == status, done.stderr


@pytest.mark.parametrize(
    ("cpus", "memory", "workers"), [(1, 2**30, "1"), (4, 2**30, "4"), (64, 256 * 2**20, "8"), (4, 16 * 2**20, "1")]
)
def test_nginx_workers_respect_the_container(monkeypatch, cpus, memory, workers):
    """Nginx has a worker process for each CPU that its container may use, fewer if its memory does not suffice."""
    monkeypatch.setattr(nginx.resources, "cpus", lambda: cpus)
    monkeypatch.setattr(nginx.resources, "memory", lambda: memory)
    assert nginx.template_values()["WORKER_PROCESSES"] == workers
