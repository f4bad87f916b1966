"""Interrupted, concurrent and refused runs of ./stack switch and release: the next run repairs the stack."""

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


def kill_at(checkout, step: str, signal_to_send: signal.Signals, *words: str) -> str:
    """Start ./stack, send it a signal when it prints the step, and return its output."""
    said = ""
    with checkout.start(*words) as process:
        for line in process.stdout:
            said += line
            if line.startswith(f"- {step} "):
                process.send_signal(signal_to_send)
                step = "no further step"
    assert process.returncode != 0, f"./stack exited before the signal:\n{said}"
    return said


def test_kill_9_at_every_step_is_repaired(checkout, record):
    """kill -9 of ./stack at any step loses no request, and the next run leaves only the active container."""
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
    record(SECTION, "kill -9 of ./stack, one at each step", len(STEPS), len(wrong), "repaired by the next run")
    judge(record, SECTION, "requests during these interruptions", load, checkout)
    assert wrong == []
    assert_nothing_to_change(checkout)


def test_plain_compose_after_kill_9(checkout):
    """After kill -9 of ./stack, `docker compose up` works as usual: one web container, which is active."""
    kill_at(checkout, "watching", signal.SIGKILL, "switch", "mod_wsgi")
    checkout.plain_up()
    deadline = time.monotonic() + 20
    while requests.get(checkout.url, timeout=10).status_code != 200:
        assert time.monotonic() < deadline, "no container is active"
        time.sleep(0.2)
    assert len(checkout.webs()) == 1


def test_ctrl_c_rolls_back(checkout):
    """Ctrl-C rolls the change back: the old container stays active, and no other one exists."""
    checkout.stack("switch", "gunicorn")
    before = checkout.webs()
    for step in ("running the smoke check", "watching"):
        said = kill_at(checkout, step, signal.SIGINT, "switch", "uwsgi")
        assert "The switch to uwsgi was rolled back: gunicorn is still active." in said
        assert (checkout.webs(), healthz(checkout)["wsgi_server"]) == (before, "gunicorn")


def test_concurrent_run_is_refused(checkout):
    """A second run is refused at once while the first is active, and the first one succeeds."""
    with checkout.start("switch", "uwsgi") as first:
        for line in first.stdout:
            if "running the smoke check" in line:
                break
        second = checkout.run("./stack", "switch", "mod_wsgi")
        first.stdout.read()
    assert (first.returncode, second.returncode) == (0, 1)
    assert "is running in this folder" in second.stdout
    assert (len(checkout.webs()), healthz(checkout)["wsgi_server"]) == (1, "uwsgi")


def test_status_shows_active_and_leftover_containers(checkout):
    """./stack status shows the active container with its server, and the containers left by a killed run."""
    kill_at(checkout, "watching", signal.SIGKILL, "switch", "gunicorn")
    said = checkout.stack("status")
    assert re.search(
        r"-web-\d+ has been active for \d+ s: gunicorn, release \S+, image [0-9a-f]{12}$", said, re.MULTILINE
    )
    assert re.search(r"-web-\d+ \(uwsgi, running\) is not active\. .*run \./stack switch gunicorn", said)
    assert "An earlier rollout was interrupted." in checkout.stack("up")
    assert len(checkout.webs()) == 1


def test_breaking_migration_is_refused(checkout):
    """A migration that is marked as breaking is shown with its reason, and runs only with --allow-breaking."""
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
    checkout.stack("release", RELEASE="next")  # the active container contains the migration by now
