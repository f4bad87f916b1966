"""deploy/settings.py: defaults, NAME_FILE, errors with a fix, and the export to the process environment."""

import inspect
import os
from pathlib import Path

import pytest

from deploy import resources
from deploy.errors import StackError, StackErrors
from deploy.setting_checks import database_addresses, size_in_bytes
from deploy.settings import (
    HOST_ONLY,
    LOG_LEVELS,
    MAX_SHUTDOWN_GRACE,
    ROOT,
    SAMPLE,
    SETTINGS,
    export_settings,
    load_settings,
    require_server_program,
    server_names,
    socket_path,
)

NAMES = [setting.name for setting in SETTINGS]
every_setting = pytest.mark.parametrize("setting", SETTINGS, ids=NAMES)
# Settings that another setting requires.
REQUIRED = {"SMTP_URL": {"ALLOWED_HOSTS": "example.com"}}


def load(name: str, **environ: str) -> str:
    """The value of one setting, in whichever group it is."""
    return load_settings(environ, {name})[name]


def errors(only: set[str] | None = None, **environ: str) -> list[StackError]:
    """The errors of load_settings() for this environment."""
    with pytest.raises(StackErrors) as raised:
        load_settings(environ, only)
    return raised.value.errors


def test_empty_environment_is_a_complete_configuration():
    """Every setting has a default; without `only` those that are read on the host alone are left out."""
    values = load_settings({})
    assert list(values) == [setting.name for setting in SETTINGS if setting.group not in HOST_ONLY]
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


@every_setting
def test_empty_means_unset(setting):
    """An empty value counts as unset, as in `.env` and on platforms that cannot remove a setting."""
    empty = {setting.name: "", f"{setting.name}_FILE": ""}
    assert load_settings(empty) == load_settings({})
    assert load(setting.name, **empty) == load(setting.name)


@every_setting
def test_declaration_is_complete(setting):
    """Each setting has a group, a meaning, an example, and a default that is valid and described."""
    assert setting.group and setting.meaning and setting.example
    assert setting.default_text or not callable(setting.default)
    default = load(setting.name)
    assert default == "" or setting.check(default) == ""


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
        ("WEB_MEMORY", "1g"),
        ("TMP_SIZE", "1048576"),
        ("HTTP_BIND", "127.0.0.1"),
        ("HTTP_BIND", "[::1]"),
        ("ALLOWED_HOSTS", "example.com"),
        ("ALLOWED_HOSTS", ".example.com, a-b.example.org localhost 127.0.0.1"),
        ("ALLOWED_HOSTS", "example.com:8443,.example.org:8080"),
        ("ALLOWED_HOSTS", "*"),
        ("MAX_JSON_SIZE", "256k"),
        ("RATE_LIMITS", "off"),
        ("REDIS_URL", "rediss://:password@host:6380/1"),
        ("CORS_ORIGINS", "https://app.example.com, http://localhost:3000"),
        ("CORS_ORIGINS", "*"),
        ("DATABASE_URL", "postgres://user:p%40ss@host:5432/name"),
        ("DATABASE_URL", "postgresql+psycopg://h/n"),
        ("DATABASE_URL", "sqlite:////var/lib/app.db"),
        ("DATABASE_URL", "postgresql:///n?host=/run/postgresql"),
        ("DATABASE_URL", "postgresql://u:p%40s%23s%2Fw%25%3F@host:5432/name?sslmode=require"),
        ("DATABASE_URL", "postgresql://u:p@h1:5432,h2:5433/n?target_session_attrs=read-write"),
        ("DATABASE_URL", "postgresql://u:p@%2Frun%2Fpostgresql/n"),
        ("DATABASE_URL", "postgresql://u:p@[::1]:5432/n"),
        ("DATABASE_URL", "mysql+pymysql://u:p@host/n?charset=utf8mb4"),
        ("SMTP_URL", "smtp://mail"),
        ("SMTP_URL", "smtps://user%40example.com:p%3Ass@mail.example.com:465"),
        ("MAIL_FROM", "no-reply+x@example.com"),
        ("SECRET_KEY", "0123456789abcdef"),
        ("SECRET_KEY_FALLBACKS", "0123456789abcdef,fedcba9876543210"),
        ("SESSION_LIFETIME", "3600"),
        ("SESSION_IDLE_TIMEOUT", "31536000"),
        ("LOG_LEVEL", "critical"),
        ("LOG_LEVEL", "INFO"),  # as apps pass it to `logging`
        ("STATE_DIRECTORY", "/x"),
        ("RELEASE_COMMAND", "a && b"),
        ("RELEASE", "v1.2"),
    ],
)
def test_valid_value_is_returned_unchanged(name, value):
    """load_settings() returns a valid value as it is."""
    assert load(name, **{name: value}, **REQUIRED.get(name, {})) == value


@every_setting
def test_example_is_valid(setting):
    """The example that an error suggests is itself valid."""
    environ = {setting.name: setting.example} | REQUIRED.get(setting.name, {})
    assert load(setting.name, **environ) == setting.example


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("WSGI_SERVER", "waitress", ", ".join(server_names())),
        ("WSGI_SERVER", "../servers/uwsgi", "is not one of"),
        ("WSGI_SERVER", "Gunicorn", "is not one of"),
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
        *(("READY_PATH", value, "is not a URL path") for value in ("readyz", "/a b", "/a\nb", "http://h/", "/é")),
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
        *(
            ("MAX_BODY_SIZE", value, "is not a size")
            for value in ("ten", "10mb", "10 m", "-1", "1.5m", "m", "٣m", "10t")
        ),
        *(("MAX_BODY_SIZE", value, "not between 1k and 4g") for value in ("0", "0m", "1023", "5g", "4097m")),
        ("WEB_MEMORY", "63m", "not between 64m and 1024g"),
        *(("HTTP_BIND", value, "is not an IP address") for value in ("localhost", "1.2.3", "127.0.0.1:80")),
        *(("HTTP_BIND", value, "stands in brackets") for value in ("::1", "[127.0.0.1]")),
        *(("RATE_LIMITS", value, "is not one of: on, off") for value in ("yes", "0", "On")),
        ("SECRET_KEY_FALLBACKS", "0123456789abcdef, short", "only 5 characters"),
        *(("SESSION_LIFETIME", value, "not between 3600 and") for value in ("0", "3599", "31536001")),
        ("SESSION_IDLE_TIMEOUT", "3d", "is not a whole number"),
        *(("REDIS_URL", value, "does not start with redis://") for value in ("host:6379", "http://host", "redis://")),
        *(
            ("CORS_ORIGINS", value, "is not an origin")
            for value in (
                "app.example.com",
                "https://app.example.com/",
                "https://*.example.com",
                "null",
                "ftp://a.example",
            )
        ),
        *(
            ("ALLOWED_HOSTS", value, "is not a host name")
            for value in (
                "https://example.com",
                "example.com:",
                "example.com:http",
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
        *(
            ("DATABASE_URL", f"postgresql://user:{password}@host:5432/name", "percent-encode")
            for password in (
                "p@hunter2",
                "hunter2#hunter2",
                "hunter2/hunter2",
                "hunter2?hunter2",
                "hunter2/hunter2?x",
                "p%hunter2",
                "p@hunter2#hunter2/w%?",
                "[hunter2]",
                "hunter2 x",
            )
        ),
        *(("DATABASE_URL", f"{quote}postgresql://u:hunter2@h/n{quote}", "quotes") for quote in ("'", '"')),
        *(("SMTP_URL", value, "start with") for value in ("mail.example.com", "u:hunter2@h", "http://u:hunter2@h")),
        *(("SMTP_URL", f"smtp://u:hunter2@{rest}", "port") for rest in ("h:0", "h:x", "[::1", ":25")),
        *(("MAIL_FROM", value, "is not an email address") for value in ("tripod", "a@b@c", "Tripod <a@example.com>")),
        *(("SECRET_KEY", value, f"only {len(value)} characters") for value in ("hunter2", "hunter2hunter2h")),
        *(("LOG_LEVEL", value, ", ".join(LOG_LEVELS)) for value in ("verbose", "INFORM", "20")),
        *(
            (name, *wrong)
            for wrong in (
                ("relative/path", "is not an absolute path"),
                ("/my projects/x", "contains a space"),
                ("/x;daemon", "contains a space"),
            )
            for name in ("STATE_DIRECTORY", "RUNTIME_DIRECTORY", "STATIC_ROOT", "ASSETS_DIRECTORY")
        ),
    ],
)
def test_invalid_value_is_reported_with_a_fix(name, value, error):
    """An invalid value is one error that names the setting, the cause and a fix, but no secret."""
    (raised,) = errors({name}, **{name: value})
    assert raised.error.startswith(f"{name}: ")
    assert error in raised.error
    assert all((raised.error, raised.cause, raised.fix))
    assert f"{name}=" in raised.fix
    for part in (raised.error, raised.cause, raised.fix):
        assert part in str(raised)
    assert "hunter2" not in str(raised), "a secret must not be repeated"


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("mysql://u:hunter2@host/n", "does not support the scheme mysql://"),
        ("postgresql+psycopg2://u:hunter2@host/n", "does not support the scheme postgresql+psycopg2://"),
        ("sqlite:///app.db", "relative"),
        ("sqlite:////no-such/app.db", "is not writable here"),
        ("sqlite:////var/lib/tripod/../../../no-such/app.db", "is not writable here"),
        ("sqlite://", "in memory"),
        ("sqlite:///:memory:", "in memory"),
    ],
)
def test_database_of_the_sample_app(url, error):
    """A database that the sample app cannot use is an error; a custom app may have any."""
    (raised,) = errors(DATABASE_URL=url)
    assert error in raised.error
    assert "hunter2" not in str(raised)
    assert load_settings({"DATABASE_URL": url, "WSGI_APP": "shop:app"})["DATABASE_URL"] == url


@pytest.mark.parametrize("url", ["sqlite:////var/lib/tripod/app.db", "sqlite:////var/lib/tripod/a/b.db?timeout=5"])
def test_sqlite_of_the_sample_app_may_have_another_name(url):
    """SQLite files of the sample app may have any name in the state directory."""
    assert load_settings({"DATABASE_URL": url})["DATABASE_URL"] == url


@pytest.mark.parametrize(
    ("url", "addresses"),
    [
        ("postgresql://u:p@h/n", [("h", 5432)]),
        ("mysql+pymysql://u:p@h/n", [("h", 3306)]),
        ("mariadb://h/n", [("h", 3306)]),
        ("mssql+pyodbc://h/n", [("h", 1433)]),
        ("unknown://h/n", []),
        ("unknown://h:7/n", [("h", 7)]),
        ("postgresql://h1,h2:5433,[::1]/n", [("h1", 5432), ("h2", 5433), ("::1", 5432)]),
        ("postgresql://u:p@%2Frun%2Fpostgresql/n", []),
        ("postgresql:///n?host=/run/postgresql", []),
        ("sqlite:////var/lib/app.db", []),
    ],
)
def test_addresses_of_a_database(url, addresses):
    """Every server of a database URL is known with its port, which depends on the scheme."""
    assert database_addresses(url) == addresses


def test_all_errors_are_reported_at_once():
    """All invalid settings are reported in one error."""
    invalid = {"WSGI_SERVER": "x", "WSGI_APP": "x", "PORT": "x", "DATABASE_URL": "x", "SECRET_KEY_FILE": "/none"}
    raised = errors(**invalid)
    assert sorted(error.error.split(":")[0] for error in raised) == sorted(invalid)
    assert all(str(error) in str(StackErrors(raised)) for error in raised)


@every_setting
def test_name_file_contains_the_value(setting, tmp_path):
    """Any NAME can be read from the file of NAME_FILE, without the white space around it."""
    file = tmp_path / "secret"
    file.write_text(f"\n {setting.example}\n\n")
    environ = {f"{setting.name}_FILE": str(file)} | REQUIRED.get(setting.name, {})
    assert load(setting.name, **environ) == setting.example


def test_name_has_precedence_over_name_file(tmp_path):
    """If both are set, NAME is used and the file is not read."""
    assert load_settings({"LOG_LEVEL": "debug", "LOG_LEVEL_FILE": str(tmp_path / "none")})["LOG_LEVEL"] == "debug"


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00", "folder"], ids=["missing", "not UTF-8", "folder"])
def test_unreadable_name_file_is_an_error(content, tmp_path):
    """A NAME_FILE that cannot be read is an error; the default is not used silently."""
    file = tmp_path if content == "folder" else tmp_path / "secret"
    if isinstance(content, bytes):
        file.write_bytes(content)
    (error,) = errors(SECRET_KEY_FILE=str(file))
    assert error.error.startswith("SECRET_KEY_FILE: ")
    assert str(file) in error.error
    assert error.cause and "SECRET_KEY" in error.fix


def test_empty_name_file_is_an_error(tmp_path):
    """An empty file is an error: a lost secret must not silently lead to another database or a new key."""
    (tmp_path / "url").write_text("\n")
    (error,) = errors(DATABASE_URL_FILE=str(tmp_path / "url"))
    assert error.error.startswith("DATABASE_URL_FILE: ") and "is empty" in error.error


def test_value_of_a_name_file_is_checked(tmp_path):
    """A value from a file passes the same check as a value from the environment."""
    (tmp_path / "key").write_text("short")
    (error,) = errors(SECRET_KEY_FILE=str(tmp_path / "key"))
    assert error.error.startswith("SECRET_KEY: ")


def test_only_ignores_the_other_settings():
    """`only` returns the named settings, and ignores invalid values of the others."""
    assert load_settings({"LOG_LEVEL": "debug", "PORT": "x"}, {"LOG_LEVEL"}) == {"LOG_LEVEL": "debug"}


@every_setting
def test_only_returns_the_same_value(setting):
    """A setting has the same value alone as among all settings."""
    alone = load_settings({}, {setting.name})
    assert list(alone) == [setting.name]
    if setting.group not in HOST_ONLY:
        assert alone[setting.name] == load_settings({})[setting.name]


def test_custom_app_may_use_the_names_of_the_sample():
    """Settings of the sample app alone are neither checked nor returned for a custom app."""
    environ = {"WSGI_APP": "shop:app", "RATE_LIMITS": "100/h", "MAIL_FROM": "The Shop"}
    names = [setting.name for setting in SETTINGS if setting.group == SAMPLE]
    assert names and not set(names) & set(load_settings(environ))


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
def test_sizes_are_read_as_by_nginx(text, size):
    """k, m and g are powers of 1024, as for Nginx."""
    assert size_in_bytes(text) == size


def test_sqlite_is_in_the_state_directory():
    """The default database is a file in STATE_DIRECTORY."""
    assert load_settings({"STATE_DIRECTORY": "/data"})["DATABASE_URL"] == "sqlite:////data/app.db"


def test_default_database_is_that_of_the_postgres_profile(monkeypatch):
    """After a start with the profile `postgres` its URL is the default; DATABASE_URL has precedence."""
    real = Path.read_text
    urls = {"/run/postgresql/database_url": "postgresql:///tripod?host=/run/postgresql\n"}
    monkeypatch.setattr(Path, "read_text", lambda self, *a, **k: urls.get(str(self)) or real(self, *a, **k))
    assert load_settings({})["DATABASE_URL"] == "postgresql:///tripod?host=/run/postgresql"
    assert load_settings({"DATABASE_URL": "sqlite:////x.db"})["DATABASE_URL"] == "sqlite:////x.db"


@pytest.mark.parametrize(("app", "command"), [("app.wsgi:application", "app.migrations"), ("mine:app", "")])
def test_only_the_sample_app_has_a_release_command(app, command):
    """The migrations of the sample app do not run for a custom app."""
    assert command in load_settings({"WSGI_APP": app})["RELEASE_COMMAND"]
    assert command or load_settings({"WSGI_APP": app})["RELEASE_COMMAND"] == "true"


def test_custom_app_with_the_name_of_the_sample_app():
    """An app of APP_DIR is a custom app, even if its module has the name of the sample app's."""
    assert load_settings({"APP_DIR": "../mine"})["RELEASE_COMMAND"] == "true"


def test_default_workers_are_valid(monkeypatch):
    """A machine with more CPUs than the maximum of WEB_CONCURRENCY starts without any setting."""
    monkeypatch.setattr(resources, "cpus", lambda *a: 384)
    monkeypatch.setattr(resources, "memory", lambda *a: 10**12)
    assert int(load_settings({})["WEB_CONCURRENCY"]) <= 384


def test_servers_are_the_folders():
    """The valid values of WSGI_SERVER are exactly the folders of deploy/servers."""
    folders = sorted(path.name for path in (ROOT / "deploy/servers").iterdir() if path.is_dir())
    assert server_names() == folders


def test_socket_is_named_after_the_host():
    """Each container has a socket of its own in the shared folder."""
    path = Path(socket_path({"RUNTIME_DIRECTORY": "/run/tripod"}))
    assert path.parent == Path("/run/tripod")
    assert path.suffix == ".sock" and path.name != "current.sock"


def test_server_without_its_program_is_refused(tmp_path, monkeypatch):
    """A server whose program is not installed is an error that suggests the installed ones."""
    (tmp_path / "uwsgi").write_text("#!/bin/sh\n")
    (tmp_path / "uwsgi").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    require_server_program("uwsgi")
    with pytest.raises(StackError, match="(?s)mod_wsgi cannot run here.*set WSGI_SERVER=uwsgi"):
        require_server_program("mod_wsgi")


def test_mailed_links_require_allowed_hosts():
    """With SMTP_URL the hosts must be named; otherwise an attacker could choose the host of a mailed link."""
    mail = {"SMTP_URL": "smtp://mail.example.com"}
    for environ in (mail, mail | {"ALLOWED_HOSTS": "example.com,*"}):
        (error,) = errors(**environ)
        assert error.error.startswith("ALLOWED_HOSTS: ") and "SMTP_URL is set" in error.error
    assert load_settings(mail | REQUIRED["SMTP_URL"])["SMTP_URL"] == mail["SMTP_URL"]
    assert load_settings(mail | {"APP_DIR": "../shop"})["ALLOWED_HOSTS"] == "*"  # a custom app may mail no links
    assert load_settings(mail, {"MAX_BODY_SIZE"})  # Nginx loads only the settings that it reads


def test_export_sets_values_and_removes_empty_ones():
    """Settings with a value are set in the environment, and those without one are not set at all."""
    environ = {"PORT": "", "LOG_LEVEL": "debug", "SHOP": "", "SMTP_URL_FILE": ""}
    settings = load_settings(environ)
    export_settings(settings, environ)
    assert "PORT" not in environ and "SMTP_URL" not in environ
    assert environ["LOG_LEVEL"] == "debug" and environ["WEB_THREADS"] == "4"
    assert environ["SHOP"] == "", "not a setting"
    assert load_settings(environ) == settings, "the server's processes load the same settings"


def test_export_is_to_the_environment_of_the_process():
    """Without a second argument the settings are exported to os.environ."""
    assert inspect.signature(export_settings).parameters["environ"].default is os.environ
