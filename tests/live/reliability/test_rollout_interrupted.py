"""Interrupted runs of ./stack switch and release: the next run repairs the stack."""

import re
import signal
import time

import requests

from tests.live.reliability.checkout import assert_nothing_to_change, healthz, judge, kill_at, settings_of

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


def test_kill_9_at_every_step_is_repaired(checkout, clients, record):
    """kill -9 of ./stack at any step loses no request, and the next run leaves only the active container."""
    wrong = []
    with clients(checkout.address()) as load:
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


def test_status_shows_active_and_leftover_containers(checkout):
    """./stack status shows the active container with its server, and the containers left by a killed run."""
    kill_at(checkout, "watching", signal.SIGKILL, "switch", "uwsgi")
    said = checkout.stack("status")
    assert re.search(r"-web-\d+ has been active for \d+ s: uwsgi, release \S+, image [0-9a-f]{12}$", said, re.MULTILINE)
    assert re.search(r"-web-\d+ \(gunicorn, running\) is not active\. .*run \./stack switch uwsgi", said)
    assert "An earlier rollout was interrupted." in checkout.stack("up")
    assert len(checkout.webs()) == 1
