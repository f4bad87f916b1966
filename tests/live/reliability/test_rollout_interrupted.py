"""Interrupted, concurrent and refused rollouts: the next switch, release or up repairs what an interruption left."""

import re
import signal
import time

import requests

from tests.live.reliability.checkout import assert_nothing_to_change, healthz, judge, settings_of
from tests.live.reliability.clients import Clients

SECTION = "Switch and release, interrupted"
STEPS = (
    "building",
    "running the migrations,",
    "waiting until",
    "running the smoke check",
    "handing over",
    "watching",
    "draining",
)


def kill_at(checkout, step: str, how: signal.Signals, *words: str) -> str:
    """Start ./stack, send it the signal when it prints this step, and return its output."""
    said = ""
    with checkout.start(*words) as process:
        for line in process.stdout:
            said += line
            if line.startswith(f"- {step} "):
                process.send_signal(how)
                step = "nothing more"
    assert process.returncode != 0, f"it exited before it was killed:\n{said}"
    return said


def test_kill_9_at_every_step_is_put_right(checkout, record):
    """./stack killed at any of its steps loses no request, and the next call leaves only the active container."""
    wrong = []
    with Clients(checkout.address()) as load:
        for step in STEPS:
            target = "uwsgi" if healthz(checkout)["wsgi_server"] == "gunicorn" else "gunicorn"
            words = ("release",) if step == "building" else ("switch", target)
            kill_at(checkout, step, signal.SIGKILL, *words)
            server = healthz(checkout)["wsgi_server"]
            said = checkout.stack("switch", server)
            if len(checkout.webs()) != 1 or settings_of(checkout.folder)["WSGI_SERVER"] != server:
                wrong.append(f"{step}: {said}")
    record(SECTION, "kill -9 of ./stack, one at each step", len(STEPS), len(wrong), "repaired by the next call")
    judge(record, SECTION, "requests during these", load, checkout)
    assert wrong == []
    assert_nothing_to_change(checkout)


def test_plain_compose_after_kill_9(checkout):
    """`docker compose up` after ./stack was killed works as usual: one container is left, and it is active."""
    kill_at(checkout, "watching", signal.SIGKILL, "switch", "mod_wsgi")
    checkout.plain_up()
    deadline = time.monotonic() + 20
    while requests.get(checkout.url, timeout=10).status_code != 200:
        assert time.monotonic() < deadline, "no container was promoted"
        time.sleep(0.2)
    assert len(checkout.webs()) == 1


def test_ctrl_c_rolls_back(checkout):
    """Ctrl-C rolls back: the previous container is still active, and the only one."""
    checkout.stack("switch", "gunicorn")
    before = checkout.webs()
    for step in ("running the smoke check", "watching"):
        said = kill_at(checkout, step, signal.SIGINT, "switch", "uwsgi")
        assert "The switch to uwsgi was rolled back: gunicorn is still active." in said
        assert (checkout.webs(), healthz(checkout)["wsgi_server"]) == (before, "gunicorn")


def test_concurrent_rollouts(checkout):
    """A second rollout is refused immediately, and does not disturb the first one."""
    with checkout.start("switch", "uwsgi") as first:
        for line in first.stdout:
            if "running the smoke check" in line:
                break
        second = checkout.run("./stack", "switch", "mod_wsgi")
        first.stdout.read()
    assert (first.returncode, second.returncode) == (0, 1)
    assert "is running in this folder" in second.stdout
    assert (len(checkout.webs()), healthz(checkout)["wsgi_server"]) == (1, "uwsgi")


def test_status_shows_the_active_and_the_left_container(checkout):
    """./stack status shows the active container with its server, and the container that a killed call has left."""
    kill_at(checkout, "watching", signal.SIGKILL, "switch", "gunicorn")
    said = checkout.stack("status")
    assert re.search(
        r"-web-\d+ has been active for \d+ s: gunicorn, release \S+, image [0-9a-f]{12}$", said, re.MULTILINE
    )
    assert re.search(r"-web-\d+ \(uwsgi, running\) is not active\. .*run ./stack switch gunicorn", said)
    assert "An earlier rollout was interrupted." in checkout.stack("up")
    assert len(checkout.webs()) == 1


def test_breaking_migration_is_refused(checkout):
    """A migration that is marked as breaking is refused with its reason, unless --allow-breaking is given."""
    before = checkout.webs()
    folder = checkout.folder / "tests/live/reliability/app/migrations"
    folder.mkdir()
    (folder / "drop.py").write_text('breaking = "drops the column that is still read"\n')
    refused = checkout.run("./stack", "release", RELEASE="breaking")
    assert refused.returncode == 1
    assert "migrations/drop.py: drops the column that is still read" in refused.stdout
    assert (checkout.webs(), len(before)) == (before, 1)
    checkout.stack("release", "--allow-breaking", RELEASE="breaking")
    assert healthz(checkout)["release"] == "breaking"
    checkout.stack("release", RELEASE="next")  # the active container has it already
