"""./stack switch and release lose no request, no POST and no session, whatever is released and however it ends."""

import re
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from tests.live.reliability.checkout import Checkout, settings_of
from tests.live.reliability.clients import Clients

SECTION = "Switch and release"
# Each of the six ordered pairs once.
ROUND = ("uwsgi", "mod_wsgi", "gunicorn", "mod_wsgi", "uwsgi", "gunicorn")
REQUESTS = 20_000
LONG_HANDOVERS, LONG_REQUESTS = 100, 1_000_000
HANDOVER_WITHIN = 2  # seconds
THREADS = 8  # of the web container: the checkout has two processes of four

BAD = {  # the app's behaviour → a part of the sentence that tells why it was taken back
    "never ready": "it was not ready within 8 s",
    "answers 500": "GET / answered 500",
    "does not import": "it ended with status 78",
    "server dies": "it ended with status|it did not stay alive|got no answer",
    "workers die": "got no answer|answered 50",
}
STEPS = ("building", "running the migrations,", "waiting until", "trying it out", "handing over", "watching", "letting")


@pytest.fixture(scope="module")
def checkout():
    checkout = Checkout()
    try:
        checkout.up()
        yield checkout
    finally:
        checkout.down()


def healthz(checkout) -> dict:
    return requests.get(f"{checkout.url}/healthz", timeout=10).json()


def assert_nothing_to_change(checkout) -> None:
    """`docker compose up` leaves the one web container as it is."""
    before = checkout.webs()
    assert len(before) == 1
    checkout.plain_up()
    assert checkout.webs() == before


def judge(record, what: str, load: Clients, checkout, note: str = "") -> None:
    """Writes the row, then fails if anything was lost."""
    wrong = load.wrong_in_ledger(checkout.ledger())
    parts = ", ".join(f"{count:,} {action.replace('_', ' ')}" for action, count in sorted(load.counts.items()))
    remark = f"{note}{parts}; slowest page {load.slowest:.1f} s; {len(load.acknowledged):,} POSTs in the ledger once"
    record(SECTION, what, load.total, len(load.failures) + len(wrong), remark)
    assert load.failures == []
    assert wrong == []


def seconds_of_handovers(said: str) -> list[float]:
    """How long each took, of all that ./stack has said."""
    return [float(found) for found in re.findall(r"^- handing over: ok \(([0-9.]+) s\)", said, re.MULTILINE)]


def test_switches_and_a_release_lose_nothing(checkout, record, is_long):
    """All six ordered pairs of servers, then a new image, under 32 clients: no request fails, each POST is applied
    exactly once, every session holds; and `docker compose up` finds nothing to change.
    """
    rounds = LONG_HANDOVERS // (len(ROUND) + 1) + 1 if is_long else 1
    said = ""
    with Clients(checkout.address(), pause=0.03 if is_long else 0.07) as load:
        for number in range(rounds):
            for server in ROUND:
                said += checkout.stack("switch", server)
                assert healthz(checkout)["wsgi_server"] == server
                assert settings_of(checkout.folder)["WSGI_SERVER"] == server
            checkout.write("ledger.py", '{"front": "page', '{"front": "new page')
            said += checkout.stack("release", RELEASE=f"release-{number}")
            assert healthz(checkout)["release"] == f"release-{number}"
        while load.total < (LONG_REQUESTS if is_long else REQUESTS):
            load.await_more(1000)
    handovers = seconds_of_handovers(said)
    note = f"{len(handovers)} handovers, each at most {max(handovers):.1f} s; "
    judge(record, f"requests during {rounds * len(ROUND)} switches and {rounds} releases", load, checkout, note)
    assert len(handovers) == rounds * (len(ROUND) + 1)
    assert max(handovers) < HANDOVER_WITHIN
    assert_nothing_to_change(checkout)


def test_bad_releases_are_taken_back(checkout, record):
    """Whatever is wrong with a release, it is taken back by itself with the reason, no request fails, and the image's
    name means the old one again.
    """
    before, served, back = checkout.webs(), healthz(checkout), []
    with Clients(checkout.address()) as load:
        for behaviour, reason in BAD.items():
            checkout.write("ledger.py", 'BEHAVIOUR = "good"', f'BEHAVIOUR = "{behaviour}"')
            back.append(taken_back(checkout, reason))
            checkout.write("ledger.py", f'BEHAVIOUR = "{behaviour}"', 'BEHAVIOUR = "good"')
            assert (checkout.webs(), healthz(checkout)) == (before, served)
        checkout.write("migrate.py", "STATUS = 0", "STATUS = 3")
        back.append(taken_back(checkout, "the migrations ended with status 3"))
        checkout.write("migrate.py", "STATUS = 3", "STATUS = 0")
    record(SECTION, f"bad releases: {', '.join([*BAD, 'its migration fails'])}", len(back), back.count(False),
           "taken back by itself, with the reason in one sentence")
    judge(record, "requests during these", load, checkout)
    assert all(back)
    assert_nothing_to_change(checkout)
    assert (checkout.webs(), healthz(checkout)) == (before, served)


def taken_back(checkout, reason: str) -> bool:
    """Whether a release ends with status 1 and this reason."""
    done = checkout.run("./stack", "release", "--ready-within", "8", RELEASE="bad")
    matches = re.search(f"^wrong: The release of .* was taken back: .*({reason})", done.stdout, re.MULTILINE)
    if done.returncode != 1 or not matches:
        print(done.stdout)
    return done.returncode == 1 and bool(matches)


def test_what_waits_for_the_old_one_is_answered(checkout, record):
    """Requests that wait in the old container's queue when Nginx is pointed at the new one are answered by the old one,
    however long that takes: stopping it any earlier would close the queue.
    """
    target = "uwsgi" if healthz(checkout)["wsgi_server"] == "gunicorn" else "gunicorn"
    answers = []
    with checkout.start("switch", target) as process, ThreadPoolExecutor(4 * THREADS) as pool:
        for line in process.stdout:
            if line.startswith("- trying it out") and not answers:
                answers = [pool.submit(requests.get, f"{checkout.url}/sleep/6", timeout=60) for _ in range(4 * THREADS)]
        statuses = [answer.result().status_code for answer in answers]
    lost = len(statuses) - statuses.count(200)
    record(SECTION, "requests of 6 s, four for each thread, that wait during a switch", len(statuses), lost)
    assert (process.returncode, statuses) == (0, [200] * 4 * THREADS)


def kill_at(checkout, step: str, how: signal.Signals, *words: str) -> str:
    """Starts ./stack, and ends it when it says that it has come to the step; returns what it said."""
    said = ""
    with checkout.start(*words) as process:
        for line in process.stdout:
            said += line
            if line.startswith(f"- {step} "):
                process.send_signal(how)
                step = "nothing more"
    assert process.returncode != 0, f"it ended before it was killed:\n{said}"
    return said


def test_kill_9_at_every_step_is_put_right(checkout, record):
    """./stack killed at any of its steps loses no request, and the next call leaves only the container that serves."""
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
    record(SECTION, "kill -9 of ./stack, one at each step", len(STEPS), len(wrong), "put right by the next call")
    judge(record, "requests during these", load, checkout)
    assert wrong == []
    assert_nothing_to_change(checkout)


def test_plain_compose_after_kill_9(checkout):
    """`docker compose up` after ./stack was killed works as ever: one container, which serves."""
    kill_at(checkout, "watching", signal.SIGKILL, "switch", "mod_wsgi")
    checkout.plain_up()
    deadline = time.monotonic() + 20
    while requests.get(checkout.url, timeout=10).status_code != 200:
        assert time.monotonic() < deadline, "nobody has taken over"
        time.sleep(0.2)
    assert len(checkout.webs()) == 1


def test_ctrl_c_goes_back(checkout):
    """Ctrl-C takes the change back: the container that served does so still, alone."""
    checkout.stack("switch", "gunicorn")
    before = checkout.webs()
    for step in ("trying it out", "watching"):
        said = kill_at(checkout, step, signal.SIGINT, "switch", "uwsgi")
        assert "The switch to uwsgi was taken back: gunicorn serves as before." in said
        assert (checkout.webs(), healthz(checkout)["wsgi_server"]) == (before, "gunicorn")


def test_two_at_once(checkout):
    """A second call while one is at work is refused at once, and disturbs nothing."""
    with checkout.start("switch", "uwsgi") as first:
        for line in first.stdout:
            if "trying it out" in line:
                break
        second = checkout.run("./stack", "switch", "mod_wsgi")
        first.stdout.read()
    assert (first.returncode, second.returncode) == (0, 1)
    assert "is at work in this folder" in second.stdout
    assert (len(checkout.webs()), healthz(checkout)["wsgi_server"]) == (1, "uwsgi")


def test_status_names_who_serves_and_what_is_left(checkout):
    """./stack status says which container serves, with which server, and what a killed call has left beside it."""
    kill_at(checkout, "watching", signal.SIGKILL, "switch", "gunicorn")
    said = checkout.stack("status")
    assert re.search(r"-web-\d+ serves since \d+ s: gunicorn, release \S+, image [0-9a-f]{12}$", said, re.MULTILINE)
    assert re.search(r"-web-\d+ \(uwsgi, running\) does not serve: .*type: ./stack switch gunicorn", said)
    assert "An earlier change was interrupted." in checkout.stack("up")
    assert len(checkout.webs()) == 1


def test_breaking_migration_is_refused(checkout):
    """A migration that is marked as breaking is shown with its reason, and runs only when told."""
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
    checkout.stack("release", RELEASE="next")  # known to the one that serves by then
