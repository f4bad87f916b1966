"""deploy/start, deploy/wsgi.py, deploy/release and nginx/start: what they prepare, and how they refuse."""

import os
import re
import subprocess
import sys
import time

import pytest

from deploy.errors import EXIT_CONFIG, StackError
from deploy.settings import ROOT, server_names
from tests.support.ports import free_port
from tests.support.wsgi import CLEAN, python, script

nginx = script("nginx/start")
TEMPLATE = (ROOT / "nginx/settings.conf.template").read_text()


def values(monkeypatch, **given: str) -> dict[str, str]:
    """What nginx/start fills into its template in this environment."""
    monkeypatch.setattr(os, "environ", given)
    return nginx.template_values()


def test_template_is_filled_in(monkeypatch):
    """Every value of the template is known, and none is left open."""
    rendered = nginx.render(TEMPLATE, values(monkeypatch, MAX_BODY_SIZE="7m", REQUEST_TIMEOUT="11"))
    assert "client_max_body_size 7m;" in rendered
    assert "proxy_read_timeout 16s;" in rendered
    assert not re.search(r"\$\{", rendered)


def test_nginx_variables_stay():
    """Nginx's own variables are none of ours, in either spelling."""
    assert nginx.render("$host ${host} $uri ${A_B}x", {"A_B": "$host"}) == "$host ${host} $uri $hostx"


def test_unknown_name_is_an_error():
    """A name that the contract does not know stops the start instead of becoming an empty value."""
    with pytest.raises(KeyError, match="NO_SUCH"):
        nginx.render("${NO_SUCH}", {})


@pytest.mark.parametrize(("count", "behind"), [("0", "0"), ("1", "0"), ("2", "1"), ("10", "1")])
def test_nginx_believes_others_only_behind_proxies(monkeypatch, count, behind):
    """With TRUSTED_PROXIES of 2 or more something in front of Nginx is believed, else nothing."""
    assert values(monkeypatch, TRUSTED_PROXIES=count)["BEHIND_PROXY"] == behind


@pytest.mark.parametrize(
    ("level", "word"),
    [("debug", "debug"), ("info", "info"), ("warning", "warn"), ("error", "error"), ("critical", "crit")],
)
def test_nginx_has_its_own_words_for_levels(monkeypatch, level, word):
    """LOG_LEVEL is said in Nginx's words."""
    assert values(monkeypatch, LOG_LEVEL=level)["NGINX_LOG_LEVEL"] == word


def test_nginx_ignores_what_is_not_its_own(monkeypatch):
    """A wrong value of a variable that Nginx does not use is not Nginx's affair."""
    assert values(monkeypatch, WSGI_SERVER="none", DATABASE_URL="x")["MAX_BODY_SIZE"] == "10m"


@pytest.mark.parametrize("door", ["deploy/start", "deploy/release", "nginx/start"])
def test_broken_contract_ends_with_78(door, tmp_path):
    """Each door refuses a bad value with status 78 and a text that names it, and does nothing."""
    done = subprocess.run(
        [sys.executable, ROOT / door],
        capture_output=True,
        text=True,
        timeout=30,
        env={**CLEAN, "REQUEST_TIMEOUT": "soon", "STATE_DIRECTORY": str(tmp_path)},
    )
    assert done.returncode == 78 == EXIT_CONFIG
    assert done.stderr.startswith(door)
    assert "REQUEST_TIMEOUT: 'soon' is not a whole number" in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("source", "app", "message"),
    [
        ("", "brought:application", "AttributeError"),
        ("1/0", "brought:application", "ZeroDivisionError"),
        ("application = 3", "brought:application", "is of type int, which is not callable"),
        ("raise SystemExit(3)", "brought:application", "SystemExit"),
        ("", "no_such_module:application", "ModuleNotFoundError"),
        ("def make(): return None", "brought:make()", "NoneType"),
    ],
)
@pytest.mark.parametrize(("server", "preload"), [("gunicorn", "off"), *((server, "on") for server in server_names())])
def test_app_that_cannot_be_loaded_ends_with_78(source, app, message, server, preload, tmp_path):
    """An app that can't be loaded is refused with its error, before any server starts or by its first process."""
    (tmp_path / "brought.py").write_text(source)
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
def test_stop_while_the_app_is_loaded(server, preload, tmp_path):
    """SIGTERM while the app is still being imported ends the start at once, also in process 1."""
    source = "import pathlib, time; pathlib.Path(__file__ + '.begun').touch(); time.sleep(60)"
    (tmp_path / "brought.py").write_text(source)
    env = {**CLEAN, "PYTHONPATH": str(tmp_path), "STATE_DIRECTORY": str(tmp_path), "WSGI_APP": "brought:app"}
    env |= {"PATH": f"{CLEAN['PATH']}:/usr/sbin", "PORT": str(free_port()), "WSGI_SERVER": server, "PRELOAD": preload}
    command = [sys.executable, ROOT / "deploy/start"]
    with subprocess.Popen(command, env=env) as starting:
        deadline = time.monotonic() + 30
        while not (tmp_path / "brought.py.begun").exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        starting.terminate()
        assert starting.wait(timeout=30) == (30 if server == "uwsgi" else 0)  # 30 is uWSGI's word for a stop


@pytest.mark.parametrize(
    ("source", "spec"),
    [
        ("def app(e, s): pass", "brought:app"),
        ("class Site:\n    def wsgi(self, e, s): pass\nsite = Site()", "brought:site.wsgi"),
        ("def make():\n    return lambda e, s: []", "brought:make()"),
    ],
)
def test_forms_of_wsgi_app(source, spec, tmp_path):
    """module:callable, module:object.attribute and module:factory() all name an app."""
    (tmp_path / "brought.py").write_text(source)
    code = "from deploy.wsgi import load_app; import sys; sys.exit(not callable(load_app(sys.argv[1])))"
    done = python(code, spec, WSGI_APP=spec, PYTHONPATH=f"{ROOT}:{tmp_path}")
    assert done.returncode == 0, done.stderr


def test_brought_app_needs_nothing_of_the_sample(tmp_path):
    """deploy/ imports nothing of app/, so an app whose package has another name runs without it."""
    (tmp_path / "brought.py").write_text("def app(e, s): pass")
    code = "import sys, deploy.wsgi; sys.exit('app' in sys.modules)"
    done = python(code, WSGI_APP="brought:app", PYTHONPATH=f"{ROOT}:{tmp_path}")
    assert done.returncode == 0, done.stderr


def test_release_waits_for_no_file():
    """SQLite and Unix sockets need no waiting."""
    release = script("deploy/release")
    for url in ("sqlite:////var/lib/app.db", "postgresql:///tripod?host=/run/postgresql"):
        release.wait_for_database(url)


def test_release_names_host_and_port_never_the_password(monkeypatch):
    """A database that does not answer is named by host and port; the password is not repeated."""
    release = script("deploy/release")
    monkeypatch.setattr(release, "DATABASE_TIMEOUT", -1)
    with pytest.raises(StackError) as error:
        release.wait_for_database("postgresql://user:hunter2@127.0.0.1:1/name")
    assert "127.0.0.1:1" in str(error.value)
    assert "hunter2" not in str(error.value)


@pytest.mark.parametrize(("command", "status"), [("true", 0), ("exit 3", 3), ('test -n "$SECRET_KEY"', 0)])
def test_release_command_gives_the_status(command, status, tmp_path):
    """RELEASE_COMMAND runs with the contract's values, and its exit status is the release's."""
    done = subprocess.run(
        [sys.executable, ROOT / "deploy/release"],
        capture_output=True,
        text=True,
        timeout=30,
        env={**CLEAN, "STATE_DIRECTORY": str(tmp_path), "RELEASE_COMMAND": command},
    )
    assert done.returncode == status, done.stderr
