"""A container that can't do its work says why in one screen and ends with status 78; it never half-starts."""

from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from deploy.settings import server_names
from tests.live.stack import ROOT, image_name, run_image

PROBE = ("--volume", f"{ROOT}/tests/live/probe.py:/srv/probe.py:ro")
WRITABLE = ("--tmpfs", "/tmp:mode=1777")
STATE = ("--tmpfs", "/var/lib/tripod:uid=10001")


def start(*options: str, command: str = "deploy/start", image: str = "web", **env: str):
    given = [part for name, value in env.items() for part in ("--env", f"{name}={value}")]
    return run_image("--read-only", *WRITABLE, *options, *given, image_name(image), command, check=False)


@pytest.fixture(scope="module", autouse=True)
def unreachable() -> Future:
    """A release whose database does not answer. It tries for half a minute, in which the other tests run."""
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
        ({"WSGI_APP": "probe:not_callable"}, ["WSGI_APP", "probe:not_callable", "not something that can be called"]),
    ],
)
def test_refused(env, expected):
    """A wrong value is refused at boot: the message names the variable, what is wrong and what to write."""
    done = start(*PROBE, *STATE, **env)
    assert done.returncode == 78
    assert [word for word in [*expected, "why:", "fix:"] if word not in done.stderr] == []


def test_all_at_once():
    """All wrong values are named in one go."""
    done = start(WSGI_SERVER="x", WEB_THREADS="y", LOG_LEVEL="z")
    assert [name for name in ("WSGI_SERVER", "WEB_THREADS", "LOG_LEVEL") if f"{name}:" not in done.stderr] == []


def test_state_not_writable():
    """A state volume that can't be written is refused before anything is served."""
    done = start("--tmpfs", "/var/lib/tripod:uid=0,mode=0755")
    assert done.returncode == 78
    assert "STATE_DIRECTORY: /var/lib/tripod cannot be written by uid 10001" in done.stderr


@pytest.mark.parametrize("variable, value", [("MAX_BODY_SIZE", "ten"), ("REQUEST_TIMEOUT", "-1")])
def test_nginx_refuses(variable, value):
    """Nginx keeps the same contract and refuses the same values."""
    done = start(command="nginx/start", image="nginx", **{variable: value})
    assert done.returncode == 78
    assert variable in done.stderr


def test_database_unreachable(unreachable):
    """A database that does not answer is named by host and port, never with its password."""
    done = unreachable.result()
    assert done.returncode == 78
    assert "127.0.0.1:1" in done.stderr
    assert "hunter2" not in done.stdout + done.stderr
