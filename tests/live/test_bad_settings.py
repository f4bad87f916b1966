"""A container with wrong settings prints the errors and exits with status 78 before it serves anything."""

from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from deploy.settings import server_names
from tests.live.stack import ROOT, image_name, run_image

PROBE = ("--volume", f"{ROOT}/tests/live/probe.py:/srv/probe.py:ro")
WRITABLE = ("--tmpfs", "/tmp:mode=1777")
STATE = ("--tmpfs", "/var/lib/tripod:uid=10001")


def start(*options: str, command: str = "deploy/start", image: str = "web", **env: str):
    env_options = [part for name, value in env.items() for part in ("--env", f"{name}={value}")]
    return run_image("--read-only", *WRITABLE, *options, *env_options, image_name(image), command, check=False)


@pytest.fixture(scope="module", autouse=True)
def unreachable() -> Future:
    """A release command whose database does not answer. It retries for 30 s, during which the other tests run."""
    with ThreadPoolExecutor() as pool:
        url = "postgresql://someone:hunter2@127.0.0.1:1/name"
        yield pool.submit(start, *STATE, command="deploy/release", DATABASE_URL=url)


@pytest.mark.parametrize(
    "env, expected",
    [
        ({"WSGI_SERVER": "waitress"}, ["WSGI_SERVER", "waitress", *server_names()]),
        ({"WEB_CONCURRENCY": "many"}, ["WEB_CONCURRENCY", "'many' is not a whole number"]),
        ({"WEB_THREADS": "0"}, ["WEB_THREADS", "between 1 and 256"]),
        ({"MAX_BODY_SIZE": "10 MB"}, ["MAX_BODY_SIZE", "10m"]),
        ({"SECRET_KEY": "short"}, ["SECRET_KEY", "only 5 characters"]),
        ({"SECRET_KEY_FILE": "/run/secrets/none"}, ["SECRET_KEY_FILE", "/run/secrets/none", "No such file"]),
        ({"WSGI_APP": "nothing.here:app"}, ["WSGI_APP", "nothing.here:app", "ModuleNotFoundError"]),
        ({"WSGI_APP": "probe:missing"}, ["WSGI_APP", "probe:missing", "AttributeError"]),
        ({"WSGI_APP": "probe:not_callable"}, ["WSGI_APP", "probe:not_callable", "which is not callable"]),
    ],
)
def test_wrong_setting_is_refused(env, expected):
    """A wrong value is refused at start: the error names the setting, the cause and the fix."""
    done = start(*PROBE, *STATE, **env)
    assert done.returncode == 78
    assert [word for word in [*expected, "cause:", "fix:"] if word not in done.stderr] == []


def test_all_wrong_settings_are_reported_at_once():
    """All wrong values are reported in one run."""
    done = start(WSGI_SERVER="x", WEB_THREADS="y", LOG_LEVEL="z")
    assert [name for name in ("WSGI_SERVER", "WEB_THREADS", "LOG_LEVEL") if f"{name}:" not in done.stderr] == []


def test_read_only_state_directory_is_refused():
    """A state volume that is not writable is refused before anything is served."""
    done = start("--tmpfs", "/var/lib/tripod:uid=0,mode=0755")
    assert done.returncode == 78
    assert "STATE_DIRECTORY: /var/lib/tripod cannot be written by uid 10001" in done.stderr


@pytest.mark.parametrize("setting, value", [("MAX_BODY_SIZE", "ten"), ("REQUEST_TIMEOUT", "-1")])
def test_nginx_refuses_wrong_settings(setting, value):
    """The Nginx container checks its settings by the same rules."""
    done = start(command="nginx/start", image="nginx", **{setting: value})
    assert done.returncode == 78
    assert setting in done.stderr


def test_unreachable_database_is_reported(unreachable):
    """The error about an unreachable database names its host and port, never its password."""
    done = unreachable.result()
    assert done.returncode == 78
    assert "127.0.0.1:1" in done.stderr
    assert "hunter2" not in done.stdout + done.stderr
