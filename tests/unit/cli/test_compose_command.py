"""Unit tests of the command lines of Docker Compose: the files of the tool images."""

import pytest

from cli import compose, dotenv


def files(command):
    """The files that a command line names."""
    return [word for previous, word in zip(command, command[1:], strict=False) if previous == "--file"]


@pytest.fixture(autouse=True)
def no_settings(monkeypatch):
    """Neither the shell nor .env names Compose files."""
    monkeypatch.delenv("COMPOSE_FILE", raising=False)
    monkeypatch.delenv("COMPOSE_PATH_SEPARATOR", raising=False)
    monkeypatch.setattr(dotenv, "values", dict)


def test_stack_alone_names_no_files():
    """Without tools, Compose finds its files by itself."""
    assert compose.command("ps", profiles=["postgres"]) == ["docker", "compose", "--profile", "postgres", "ps"]


def test_tools_add_their_file(monkeypatch, tmp_path):
    """The tool images are laid over docker-compose.yml, and over its override if there is one."""
    monkeypatch.setattr(compose.console, "ROOT", tmp_path)
    assert files(compose.command("build", tools=True)) == ["docker-compose.yml", "compose.tools.yml"]
    (tmp_path / "docker-compose.override.yml").touch()
    expected = ["docker-compose.yml", "docker-compose.override.yml", "compose.tools.yml"]
    assert files(compose.command("build", tools=True)) == expected


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"COMPOSE_FILE": "a.yml:b.yml"}, ["a.yml", "b.yml", "compose.tools.yml"]),
        ({"COMPOSE_FILE": "a.yml,b.yml", "COMPOSE_PATH_SEPARATOR": ","}, ["a.yml", "b.yml", "compose.tools.yml"]),
        ({"COMPOSE_FILE": "a.yml:compose.tools.yml"}, ["a.yml", "compose.tools.yml"]),
    ],
)
@pytest.mark.parametrize("source", ["shell", ".env"])
def test_compose_file_is_respected(monkeypatch, source, settings, expected):
    """COMPOSE_FILE replaces the default files, whether it is set in the shell or in .env."""
    if source == "shell":
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
    else:
        monkeypatch.setattr(dotenv, "values", lambda: settings)
    assert files(compose.command("build", tools=True)) == expected
