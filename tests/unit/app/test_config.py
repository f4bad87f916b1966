"""The environment becomes Flask's configuration, or a message that says what to type."""

import pytest

from app import create_app
from app.config import ConfigError, database_url, from_environment, size


def test_production_refuses_to_start_without_a_secret_key(monkeypatch):
    """Without SECRET_KEY the app does not start, and says what is wrong, why, and what to type."""
    monkeypatch.delenv("SECRET_KEY", raising=False)
    with pytest.raises(ConfigError) as error:
        create_app()
    what, why, *command = str(error.value).splitlines()
    assert what == "SECRET_KEY is not set."
    assert "signs the session cookie" in why
    assert "export SECRET_KEY=" in command[-1]


def test_an_empty_secret_key_is_none(monkeypatch):
    """SECRET_KEY set to nothing is as bad as no SECRET_KEY."""
    monkeypatch.setenv("SECRET_KEY", "")
    with pytest.raises(ConfigError):
        create_app()


def test_development_needs_no_secret_key(monkeypatch, sqlite_url):
    """`flask run --debug` on a fresh clone works: the key is made up, and differs at each start."""
    monkeypatch.delenv("SECRET_KEY", raising=False)
    monkeypatch.setenv("FLASK_DEBUG", "1")
    monkeypatch.setenv("DATABASE_URL", sqlite_url)
    first, second = create_app(), create_app()
    assert first.secret_key and first.secret_key != second.secret_key


def test_the_environment_reaches_flask(monkeypatch, tmp_path):
    """Every variable of the environment ends up under Flask's name for it."""
    monkeypatch.setenv("SECRET_KEY", "from the environment")
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path}/env.db")
    monkeypatch.setenv("MAX_BODY_SIZE", "2m")
    monkeypatch.setenv("STATIC_ROOT", str(tmp_path))
    config = create_app().config
    assert config["SECRET_KEY"] == "from the environment"
    assert config["SQLALCHEMY_DATABASE_URI"] == f"sqlite:///{tmp_path}/env.db"
    assert config["MAX_CONTENT_LENGTH"] == 2 * 1024 * 1024
    assert config["STATIC_ROOT"] == str(tmp_path)


def test_an_empty_environment_has_defaults():
    """A laptop needs no variable for development: a SQLite file and 10 MiB of body."""
    config = from_environment({})
    assert config["SQLALCHEMY_DATABASE_URI"] == "sqlite:///app.db"
    assert config["MAX_CONTENT_LENGTH"] == 10 * 1024 * 1024


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_every_postgresql_address_gets_the_installed_driver(scheme):
    """`postgres://` and `postgresql://` both become `postgresql+psycopg://`; the rest stays as it is."""
    assert database_url(f"{scheme}://u:p%40@db:5432/x?a=b") == "postgresql+psycopg://u:p%40@db:5432/x?a=b"


def test_other_databases_are_left_alone():
    """Only PostgreSQL addresses are rewritten."""
    assert database_url("sqlite:////var/lib/postgres://x.db") == "sqlite:////var/lib/postgres://x.db"


@pytest.mark.parametrize(("text", "found"), [("on", True), ("off", False)])
def test_a_switch_is_on_or_off(text, found):
    """RATE_LIMITS is one of two words; any other is refused, for it could leave a protection away unnoticed."""
    assert from_environment({"RATE_LIMITS": text})["RATE_LIMITS"] is found
    with pytest.raises(ConfigError, match=r"(?s)RATE_LIMITS is 'no'.*RATE_LIMITS=on"):
        from_environment({"RATE_LIMITS": "no"})


def test_origins_are_a_list():
    """CORS_ORIGINS is separated by commas or blanks; nobody is named by default."""
    assert from_environment({})["CORS_ORIGINS"] == []
    found = from_environment({"CORS_ORIGINS": "https://a.example, https://b.example"})["CORS_ORIGINS"]
    assert found == ["https://a.example", "https://b.example"]


@pytest.mark.parametrize(
    ("text", "bytes_"),
    [("512", 512), ("64k", 65536), ("10m", 10485760), ("10M", 10485760), ("1g", 1073741824), ("0", None)],
)
def test_sizes_are_read_as_nginx_reads_them(text, bytes_):
    """k, m and g in either case mean powers of 1024, and 0 means no limit."""
    assert size(text) == bytes_


@pytest.mark.parametrize("text", ["", "10mb", "-1", "1.5m", "ten", "m", "²"])
def test_a_size_that_is_none_is_refused(text):
    """A size that Nginx would not take is refused, naming the variable and an example."""
    with pytest.raises(ConfigError, match=r"(?s)MAX_BODY_SIZE is .*MAX_BODY_SIZE=10m"):
        size(text)
