"""Configuration: environment variables become Flask's configuration, or an error with a fix."""

from datetime import timedelta

import pytest

from app import create_app
from app.config import ConfigError, database_url, from_environment, parse_size


def test_production_requires_a_secret_key(monkeypatch):
    """Without SECRET_KEY, the app does not start. The message contains error, cause and fix."""
    monkeypatch.delenv("SECRET_KEY", raising=False)
    with pytest.raises(ConfigError) as error:
        create_app()
    error, cause, fix = str(error.value).splitlines()
    assert error == "error: SECRET_KEY is not set."
    assert "signs the session cookie" in cause
    assert "export SECRET_KEY=" in fix


def test_empty_secret_key_is_rejected(monkeypatch):
    """An empty SECRET_KEY counts as not set."""
    monkeypatch.setenv("SECRET_KEY", "")
    with pytest.raises(ConfigError):
        create_app()


def test_development_needs_no_secret_key(monkeypatch, database):
    """`flask run --debug` works in a fresh clone: a new random key is generated at each start."""
    monkeypatch.delenv("SECRET_KEY", raising=False)
    monkeypatch.setenv("FLASK_DEBUG", "1")
    monkeypatch.setenv("DATABASE_URL", database)
    first, second = create_app(), create_app()
    assert first.secret_key and first.secret_key != second.secret_key


def test_environment_variables_are_mapped(monkeypatch, tmp_path):
    """Environment variables are mapped to Flask's config names."""
    monkeypatch.setenv("SECRET_KEY", "from the environment")
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path}/env.db")
    monkeypatch.setenv("MAX_BODY_SIZE", "2m")
    monkeypatch.setenv("STATIC_ROOT", str(tmp_path))
    config = create_app().config
    assert config["SECRET_KEY"] == "from the environment"
    assert config["SQLALCHEMY_DATABASE_URI"] == f"sqlite:///{tmp_path}/env.db"
    assert config["MAX_CONTENT_LENGTH"] == 2 * 1024 * 1024
    assert config["STATIC_ROOT"] == str(tmp_path)


def test_defaults():
    """Without environment variables, the app uses a SQLite file and accepts bodies of 10 MiB."""
    config = from_environment({})
    assert config["SQLALCHEMY_DATABASE_URI"] == "sqlite:///app.db"
    assert config["MAX_CONTENT_LENGTH"] == 10 * 1024 * 1024


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_postgresql_urls_get_the_installed_driver(scheme):
    """`postgres://` and `postgresql://` become `postgresql+psycopg://`. The rest of the URL does not change."""
    assert database_url(f"{scheme}://u:p%40@db:5432/x?a=b") == "postgresql+psycopg://u:p%40@db:5432/x?a=b"


def test_other_database_urls_are_not_changed():
    """Only PostgreSQL URLs are rewritten."""
    assert database_url("sqlite:////var/lib/postgres://x.db") == "sqlite:////var/lib/postgres://x.db"


@pytest.mark.parametrize(("text", "value"), [("on", True), ("off", False)])
def test_switch_is_on_or_off(text, value):
    """RATE_LIMITS is `on` or `off`. Other values are rejected, because a wrong guess could disable a protection."""
    assert from_environment({"RATE_LIMITS": text})["RATE_LIMITS"] is value
    with pytest.raises(ConfigError, match=r"(?s)RATE_LIMITS is 'no'.*RATE_LIMITS=on"):
        from_environment({"RATE_LIMITS": "no"})


def test_cors_origins_are_a_list():
    """CORS_ORIGINS is separated by commas or spaces. Default: no origins."""
    assert from_environment({})["CORS_ORIGINS"] == []
    origins = from_environment({"CORS_ORIGINS": "https://a.example, https://b.example"})["CORS_ORIGINS"]
    assert origins == ["https://a.example", "https://b.example"]


@pytest.mark.parametrize(
    ("text", "number"),
    [("512", 512), ("64k", 65536), ("10m", 10485760), ("10M", 10485760), ("1g", 1073741824), ("0", None)],
)
def test_sizes_use_nginx_notation(text, number):
    """k, m and g, in upper or lower case, are powers of 1024. 0 means no limit."""
    assert parse_size(text) == number


@pytest.mark.parametrize("text", ["", "10mb", "-1", "1.5m", "ten", "m", "²"])
def test_invalid_sizes_are_rejected(text):
    """A size that Nginx does not accept is rejected. The message contains the variable and an example."""
    with pytest.raises(ConfigError, match=r"(?s)MAX_BODY_SIZE is .*MAX_BODY_SIZE=10m"):
        parse_size(text)


def test_ends_of_sessions_are_settings():
    """SESSION_LIFETIME and SESSION_IDLE_TIMEOUT are seconds. The defaults are 14 days and 3 days."""
    default = from_environment({})
    assert default["PERMANENT_SESSION_LIFETIME"] == timedelta(days=14)
    assert default["SESSION_IDLE_TIMEOUT"] == timedelta(days=3)
    config = from_environment({"SESSION_LIFETIME": "7200", "SESSION_IDLE_TIMEOUT": "600"})
    assert config["PERMANENT_SESSION_LIFETIME"] == timedelta(hours=2)
    assert config["SESSION_IDLE_TIMEOUT"] == timedelta(minutes=10)


@pytest.mark.parametrize("value", ["0", "-1", "3d", "1.5", "x"])
def test_invalid_end_of_sessions(value):
    """A duration that is no whole number above 0 is an error: a session would never end, or end at once."""
    with pytest.raises(ConfigError, match=f"SESSION_LIFETIME is '{value}'"):
        from_environment({"SESSION_LIFETIME": value})


def test_former_keys_are_a_list():
    """SECRET_KEY_FALLBACKS is separated by commas or spaces, and empty by default."""
    assert from_environment({})["SECRET_KEY_FALLBACKS"] == []
    assert from_environment({"SECRET_KEY_FALLBACKS": "one, two three"})["SECRET_KEY_FALLBACKS"] == [
        "one",
        "two",
        "three",
    ]
