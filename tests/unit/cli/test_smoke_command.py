"""./stack smoke: which site the tests request, and what they expect of it."""

import pytest

from cli import base_image, compose, engine, main, tool_images


@pytest.fixture
def smoke(monkeypatch):
    """Return a function that runs ./stack smoke against a stack with this environment of its web container, and returns
    the arguments of pytest.
    """

    def run(*words: str, **environment: str) -> list[str]:
        ran = []
        nginx = compose.Container("1", "nginx", "", "running", "healthy", 0, "", {8080: ("0.0.0.0", 9090)})
        web = compose.Container("2", "web", "", "running", "healthy", 0, "", environment=environment)
        config = {"name": "tripod", "services": {"smoke": {"image": "tripod-smoke"}}}
        monkeypatch.setattr(engine, "require", lambda: None)
        monkeypatch.setattr(base_image, "ensure_for", lambda config: None)
        monkeypatch.setattr(compose, "config", lambda tools: config)
        monkeypatch.setattr(compose, "containers", lambda name: [nginx, web])
        monkeypatch.setattr(tool_images, "build", lambda image: None)
        monkeypatch.setattr(tool_images, "run", lambda image, options, command: ran.extend(command) or 0)
        assert main.main(["smoke", *words]) == 0
        return ran

    return run


def option(arguments: list[str], name: str) -> str:
    """The value of an option."""
    return arguments[arguments.index(name) + 1]


def test_site_is_the_running_stack_or_the_url(smoke):
    """Without a URL the tests request the running stack; a URL and the other options are passed on."""
    assert option(smoke(), "--base-url") == "http://127.0.0.1:9090"
    arguments = smoke("https://app.example.com", "--expect-server", "uwsgi", "--user", "a@b.c", "--password", "secret")
    assert option(arguments, "--base-url") == "https://app.example.com"
    assert option(arguments, "--expect-server") == "uwsgi"
    assert arguments[-2:] == ["--user=a@b.c", "--password=secret"]


@pytest.mark.parametrize(
    ("words", "environment", "rate_limits"),
    [
        ((), {}, "on"),
        ((), {"RATE_LIMITS": ""}, "on"),
        ((), {"RATE_LIMITS": "off"}, "off"),
        (("--rate-limits", "on"), {"RATE_LIMITS": "off"}, "on"),
        (("https://app.example.com",), {"RATE_LIMITS": "off"}, "on"),
        (("https://app.example.com", "--rate-limits", "off"), {}, "off"),
    ],
)
def test_rate_limits_are_expected_unless_the_deployment_has_none(smoke, words, environment, rate_limits):
    """The tests expect the RateLimit header, unless the running stack has RATE_LIMITS=off or the option says so."""
    assert option(smoke(*words, **environment), "--rate-limits") == rate_limits
