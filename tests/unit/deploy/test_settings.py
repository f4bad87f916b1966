"""deploy/settings.py: defaults, NAME_FILE, and an error that says what to type."""

from pathlib import Path

import pytest

from deploy import resources
from deploy.errors import StackError, StackErrors
from deploy.setting_checks import size_in_bytes
from deploy.settings import (
    LOG_LEVELS,
    MAX_SHUTDOWN_GRACE,
    ROOT,
    SETTINGS,
    load_settings,
    require_server_program,
    server_names,
    socket_path,
)

NAMES = [variable.name for variable in SETTINGS]
# What another variable must be before this one can be set.
NEEDS = {"SMTP_URL": {"ALLOWED_HOSTS": "example.com"}}


def problems(only: set[str] | None = None, **environ: str) -> list[StackError]:
    """What load() has to say about this environment."""
    with pytest.raises(StackErrors) as error:
        load_settings(environ, only)
    return error.value.errors


def test_every_variable_has_a_value_without_any_setting():
    """An empty environment is a complete configuration."""
    values = load_settings({})
    assert list(values) == NAMES
    assert values["WSGI_SERVER"] == "gunicorn"
    assert values["WSGI_APP"] == "app.wsgi:application"
    assert values["READY_PATH"] == "/readyz"
    assert values["WEB_CONCURRENCY"] == str(resources.default_workers())
    assert values["WEB_THREADS"] == "4"
    assert values["REQUEST_TIMEOUT"] == "30"
    assert values["SHUTDOWN_GRACE"] == "25"
    assert values["MAX_BODY_SIZE"] == "10m"
    assert values["TRUSTED_PROXIES"] == "1"
    assert values["HTTP_PORT"] == "8080"
    assert values["PORT"] == values["SECRET_KEY"] == ""


@pytest.mark.parametrize("variable", SETTINGS, ids=NAMES)
def test_empty_means_unset(variable):
    """An empty value counts as unset, so that Compose can pass every name on."""
    assert load_settings({variable.name: "", f"{variable.name}_FILE": ""}) == load_settings({})


@pytest.mark.parametrize("variable", SETTINGS, ids=NAMES)
def test_default_and_declaration_are_whole(variable):
    """Each variable has a meaning, a shown default and a check that its own default passes."""
    assert variable.meaning and variable.shown and variable.example
    assert variable.check(load_settings({})[variable.name]) == ""


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("WSGI_SERVER", name) for name in server_names()),
        ("WSGI_APP", "package.module:name"),
        ("WSGI_APP", "m:create_app()"),
        ("WSGI_APP", "m:a.b"),
        ("READY_PATH", "/"),
        ("READY_PATH", "/a/b?c=%20"),
        ("WEB_CONCURRENCY", "1"),
        ("WEB_CONCURRENCY", "256"),
        ("REQUEST_TIMEOUT", "3600"),
        ("MAX_REQUESTS", "0"),
        ("SHUTDOWN_GRACE", str(MAX_SHUTDOWN_GRACE)),
        ("TRUSTED_PROXIES", "0"),
        ("PORT", "65535"),
        ("MAX_BODY_SIZE", "1024"),
        ("MAX_BODY_SIZE", "1k"),
        ("MAX_BODY_SIZE", "20M"),
        ("MAX_BODY_SIZE", "4g"),
        ("ALLOWED_HOSTS", "example.com"),
        ("ALLOWED_HOSTS", ".example.com, a-b.example.org localhost 127.0.0.1"),
        ("ALLOWED_HOSTS", "*"),
        ("RATE_LIMITS", "off"),
        ("REDIS_URL", "rediss://:password@host:6380/1"),
        ("CORS_ORIGINS", "https://app.example.com, http://localhost:3000"),
        ("CORS_ORIGINS", "*"),
        ("DATABASE_URL", "postgres://user:p%40ss@host:5432/name"),
        ("DATABASE_URL", "postgresql+psycopg://h/n"),
        ("DATABASE_URL", "sqlite:////var/lib/app.db"),
        ("DATABASE_URL", "postgresql:///n?host=/run/postgresql"),
        ("SMTP_URL", "smtp://mail"),
        ("SMTP_URL", "smtps://user%40example.com:p%3Ass@mail.example.com:465"),
        ("MAIL_FROM", "no-reply+x@example.com"),
        ("SECRET_KEY", "0123456789abcdef"),
        ("LOG_LEVEL", "critical"),
        ("STATE_DIRECTORY", "/x"),
        ("RELEASE_COMMAND", "a && b"),
        ("RELEASE", "v1.2"),
    ],
)
def test_good_value_is_taken_as_it_is(name, value):
    """A value that is allowed comes out of load() unchanged."""
    assert load_settings({name: value} | NEEDS.get(name, {}))[name] == value


@pytest.mark.parametrize("variable", SETTINGS, ids=NAMES)
def test_example_is_a_good_value(variable):
    """What an error tells people to type is itself accepted."""
    environ = {variable.name: variable.example} | NEEDS.get(variable.name, {})
    assert load_settings(environ)[variable.name] == variable.example


@pytest.mark.parametrize(
    ("name", "value", "what"),
    [
        ("WSGI_SERVER", "waitress", ", ".join(server_names())),
        ("WSGI_SERVER", "../servers/uwsgi", "is no WSGI server"),
        ("WSGI_SERVER", "Gunicorn", "is no WSGI server"),
        *(
            ("WSGI_APP", value, "neither module:callable nor module:factory()")
            for value in (
                "app.wsgi",
                "app/wsgi.py:app",
                ":app",
                "app:",
                "app:make(1)",
                "app:a b",
                "-m:x",
                "a:b()()",
            )
        ),
        *(("READY_PATH", value, "no URL path") for value in ("readyz", "/a b", "/a\nb", "http://h/", "/é")),
        *(
            (name, value, "not a whole number")
            for name in (
                "WEB_CONCURRENCY",
                "WEB_THREADS",
                "REQUEST_TIMEOUT",
                "SHUTDOWN_GRACE",
                "MAX_REQUESTS",
                "TRUSTED_PROXIES",
                "PORT",
                "HTTP_PORT",
            )
            for value in (
                "four",
                "-1",
                "+1",
                "1.5",
                " 1",
                "1 ",
                "0x10",
                "1_0",
                "٣",
                "1e3",
                "30s",
                "9999999999",
            )
        ),
        ("WEB_CONCURRENCY", "0", "not between 1 and 256"),
        ("WEB_CONCURRENCY", "257", "not between 1 and 256"),
        ("WEB_THREADS", "0", "not between"),
        ("REQUEST_TIMEOUT", "0", "not between"),
        ("REQUEST_TIMEOUT", "3601", "not between"),
        ("SHUTDOWN_GRACE", "0", "not between"),
        ("SHUTDOWN_GRACE", str(MAX_SHUTDOWN_GRACE + 1), "not between"),
        ("TRUSTED_PROXIES", "11", "not between"),
        ("PORT", "0", "not between"),
        ("PORT", "65536", "not between"),
        ("HTTP_PORT", "0", "not between"),
        *(("MAX_BODY_SIZE", value, "is no size") for value in ("ten", "10mb", "10 m", "-1", "1.5m", "m", "٣m", "10t")),
        *(("MAX_BODY_SIZE", value, "not between 1k and 4g") for value in ("0", "0m", "1023", "5g", "4097m")),
        *(("RATE_LIMITS", value, "neither on nor off") for value in ("yes", "0", "On")),
        *(("REDIS_URL", value, "does not start with redis://") for value in ("host:6379", "http://host", "redis://")),
        *(
            ("CORS_ORIGINS", value, "no origin")
            for value in (
                "app.example.com",
                "https://app.example.com/",
                "https://*.example.com",
                "null",
                "ftp://a.example",
            )
        ),
        *(
            ("ALLOWED_HOSTS", value, "no host name")
            for value in (
                "https://example.com",
                "example.com:8080",
                "a/b",
                "*.example.com",
                "a..b",
                "exämple.com",
                "good.example,bad_host",
                "x\nx.y:z",
            )
        ),
        *(("DATABASE_URL", value, "scheme") for value in ("hunter2", "/var/lib/hunter2.db", "//u:hunter2@h/n")),
        *(
            ("DATABASE_URL", f"postgresql://user:hunter2@{rest}", "port")
            for rest in ("host:port/n", "host:0/n", "host:65536/n", "host:-1/n", "[::1/n", "host:54 32/n")
        ),
        *(("SMTP_URL", value, "start with") for value in ("mail.example.com", "u:hunter2@h", "http://u:hunter2@h")),
        *(("SMTP_URL", f"smtp://u:hunter2@{rest}", "port") for rest in ("h:0", "h:x", "[::1", ":25")),
        *(("MAIL_FROM", value, "is no email address") for value in ("tripod", "a@b@c", "Tripod <a@example.com>")),
        *(("SECRET_KEY", value, f"only {len(value)} characters") for value in ("hunter2", "hunter2hunter2h")),
        *(("LOG_LEVEL", value, ", ".join(LOG_LEVELS)) for value in ("verbose", "INFO", "20")),
        *(
            (name, "relative/path", "no absolute path")
            for name in ("STATE_DIRECTORY", "RUNTIME_DIRECTORY", "STATIC_ROOT", "ASSETS_DIRECTORY")
        ),
    ],
)
def test_bad_value_is_named_with_a_way_out(name, value, what):
    """A bad value gives one problem that names the variable, says what is wrong and why, and what to type."""
    (problem,) = problems(**{name: value})
    assert problem.error.startswith(f"{name}: ")
    assert what in problem.error
    assert all((problem.error, problem.cause, problem.fix))
    assert f"{name}=" in problem.fix
    for part in (problem.error, problem.cause, problem.fix):
        assert part in str(problem)
    assert "hunter2" not in str(problem), "a secret must not be repeated"


def test_all_problems_come_at_once():
    """Everything that is wrong is said at once, in one error."""
    bad = {"WSGI_SERVER": "x", "WSGI_APP": "x", "PORT": "x", "DATABASE_URL": "x", "SECRET_KEY_FILE": "/none"}
    found = problems(**bad)
    assert sorted(problem.error.split(":")[0] for problem in found) == sorted(bad)
    assert all(str(problem) in str(StackErrors(found)) for problem in found)


@pytest.mark.parametrize("name", NAMES)
def test_name_file_gives_the_value(name, tmp_path):
    """Any NAME may come from the file that NAME_FILE names, without the white space around it."""
    example = next(variable.example for variable in SETTINGS if variable.name == name)
    file = tmp_path / "secret"
    file.write_text(f"\n {example}\n\n")
    assert load_settings({f"{name}_FILE": str(file)} | NEEDS.get(name, {}))[name] == example


def test_name_wins_over_name_file(tmp_path):
    """Where both are set, NAME counts and the file is not even read."""
    assert load_settings({"LOG_LEVEL": "debug", "LOG_LEVEL_FILE": str(tmp_path / "none")})["LOG_LEVEL"] == "debug"


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00", "folder"], ids=["missing", "not UTF-8", "folder"])
def test_unreadable_name_file_is_a_problem(content, tmp_path):
    """A NAME_FILE that can't be read is named itself; nothing falls back to the default in silence."""
    file = tmp_path if content == "folder" else tmp_path / "secret"
    if isinstance(content, bytes):
        file.write_bytes(content)
    (problem,) = problems(SECRET_KEY_FILE=str(file))
    assert problem.error.startswith("SECRET_KEY_FILE: ")
    assert str(file) in problem.error
    assert problem.cause and "SECRET_KEY" in problem.fix


def test_bad_content_of_a_name_file_is_checked_too(tmp_path):
    """A value from a file passes the same check as one from the environment."""
    (tmp_path / "key").write_text("short")
    (problem,) = problems(SECRET_KEY_FILE=str(tmp_path / "key"))
    assert problem.error.startswith("SECRET_KEY: ")


def test_only_leaves_the_others_out():
    """`only` gives just the variables named, and others may be as wrong as they like."""
    assert load_settings({"LOG_LEVEL": "debug", "PORT": "x"}, {"LOG_LEVEL"}) == {"LOG_LEVEL": "debug"}


@pytest.mark.parametrize("name", NAMES)
def test_only_works_for_each_variable_alone(name):
    """Each variable can be asked for alone and has the same value as among all of them."""
    assert load_settings({}, {name}) == {name: load_settings({})[name]}


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1024", 1024),
        ("1k", 1024),
        ("1K", 1024),
        ("10m", 10 * 1024**2),
        ("10M", 10 * 1024**2),
        ("4g", 4 * 1024**3),
    ],
)
def test_sizes_are_those_of_nginx(text, size):
    """k, m and g mean powers of 1024, as in Nginx."""
    assert size_in_bytes(text) == size


def test_sqlite_follows_the_state_directory():
    """The embedded database lies where the state is."""
    assert load_settings({"STATE_DIRECTORY": "/data"})["DATABASE_URL"] == "sqlite:////data/app.db"


def test_default_database_is_what_the_postgres_profile_left(monkeypatch):
    """Where the profile `postgres` has left its address, that is the default; DATABASE_URL still wins."""
    real = Path.read_text
    address = {"/run/postgresql/database_url": "postgresql:///tripod?host=/run/postgresql\n"}
    monkeypatch.setattr(Path, "read_text", lambda self, *a, **k: address.get(str(self)) or real(self, *a, **k))
    assert load_settings({})["DATABASE_URL"] == "postgresql:///tripod?host=/run/postgresql"
    assert load_settings({"DATABASE_URL": "sqlite:////x.db"})["DATABASE_URL"] == "sqlite:////x.db"


@pytest.mark.parametrize(("app", "command"), [("app.wsgi:application", "app.migrations"), ("mine:app", "")])
def test_only_the_sample_app_has_a_release_command(app, command):
    """The sample's migrations are not run for an app that somebody brings."""
    assert command in load_settings({"WSGI_APP": app})["RELEASE_COMMAND"]
    assert command or load_settings({"WSGI_APP": app})["RELEASE_COMMAND"] == "true"


def test_a_brought_app_may_have_the_samples_name():
    """An app of APP_DIR that is called like the sample has no migrations of the sample."""
    assert load_settings({"APP_DIR": "../mine"})["RELEASE_COMMAND"] == "true"


def test_default_workers_are_always_allowed(monkeypatch):
    """A machine with more CPUs than WEB_CONCURRENCY may say still starts without any setting."""
    monkeypatch.setattr(resources, "cpus", lambda *a: 384)
    monkeypatch.setattr(resources, "memory", lambda *a: 10**12)
    assert int(load_settings({})["WEB_CONCURRENCY"]) <= 384


def test_servers_are_the_folders():
    """The valid values of WSGI_SERVER are the folders of deploy/servers, none more and none less."""
    folders = sorted(path.name for path in (ROOT / "deploy/servers").iterdir() if path.is_dir())
    assert server_names() == folders


def test_socket_is_named_by_host():
    """Each container has a socket of its own in the shared folder."""
    path = Path(socket_path({"RUNTIME_DIRECTORY": "/run/tripod"}))
    assert path.parent == Path("/run/tripod")
    assert path.suffix == ".sock" and path.name != "current.sock"


def test_empty_file_is_a_problem(tmp_path):
    """An empty file is no value: a lost secret must not become another database or a new key in silence."""
    (tmp_path / "url").write_text("\n")
    (problem,) = problems(DATABASE_URL_FILE=str(tmp_path / "url"))
    assert problem.error.startswith("DATABASE_URL_FILE: ") and "is empty" in problem.error


def test_server_without_its_program_is_refused(tmp_path, monkeypatch):
    """A server whose program is not installed is refused with those that are; the others run."""
    (tmp_path / "uwsgi").write_text("#!/bin/sh\n")
    (tmp_path / "uwsgi").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    require_server_program("uwsgi")
    with pytest.raises(StackError, match="(?s)mod_wsgi cannot run here.*set WSGI_SERVER=uwsgi"):
        require_server_program("mod_wsgi")


def test_mailed_links_lead_to_known_hosts_only():
    """With SMTP_URL the hosts must be named, else a stranger could choose where a mailed link leads."""
    mail = {"SMTP_URL": "smtp://mail.example.com"}
    for environ in (mail, mail | {"ALLOWED_HOSTS": "example.com,*"}):
        (problem,) = problems(**environ)
        assert problem.error.startswith("ALLOWED_HOSTS: ") and "SMTP_URL is set" in problem.error
    assert load_settings(mail | NEEDS["SMTP_URL"])["SMTP_URL"] == mail["SMTP_URL"]
    assert load_settings(mail | {"APP_DIR": "../shop"})["ALLOWED_HOSTS"] == "*"  # another app may send no links
    assert load_settings(mail, {"MAX_BODY_SIZE"})  # Nginx asks for what it reads, and gets only that
