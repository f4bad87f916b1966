"""./stack switch and release lose no request, no POST and no session, even if the release is bad."""

import re
import statistics
from concurrent.futures import ThreadPoolExecutor

import requests

from tests.live.reliability.checkout import assert_nothing_to_change, healthz, judge, settings_of
from tests.live.reliability.clients import Clients

SECTION = "Switch and release"
# Starting from gunicorn, each of the six ordered pairs of servers once.
ROUND = ("uwsgi", "mod_wsgi", "gunicorn", "mod_wsgi", "uwsgi", "gunicorn")
REQUESTS = 20_000
LONG_HANDOVERS, LONG_REQUESTS = 100, 1_000_000
HANDOVER_WITHIN = 2  # seconds
THREADS = 8  # of the web container: two processes with four threads (checkout.SETTINGS)

NEVER_READY = 30  # seconds; longer than a good release needs on a busy machine
BAD = {  # the app's BEHAVIOUR → a part of the printed reason for the rollback
    "never ready": f"it was not ready within {NEVER_READY} s",
    "answers 500": "GET / answered 500",
    "does not import": "it ended",
    "server dies": "it ended|got no answer",
    "workers die": "got no answer|answered 50|it ended",  # Gunicorn exits when a worker exits with status 3
}


def seconds_of_handovers(said: str) -> list[float]:
    """Return the duration of each handover in the output of ./stack."""
    return [float(found) for found in re.findall(r"^- handing over: ok \(([0-9.]+) s\)", said, re.MULTILINE)]


def test_switches_and_releases_lose_no_request(checkout, record, is_long):
    """Switches between all six ordered pairs of servers, then a new image, with 32 clients: no request fails, each POST
    is recorded exactly once, every session stays valid, and `docker compose up` changes nothing.
    """
    rounds = LONG_HANDOVERS // (len(ROUND) + 1) + 1 if is_long else 1
    said = ""
    with Clients(checkout.address(), pause=0.03 if is_long else 0.15) as load:
        for number in range(rounds):
            for server in ROUND:
                said += checkout.stack("switch", server)
                assert healthz(checkout)["wsgi_server"] == server
                assert settings_of(checkout.folder)["WSGI_SERVER"] == server
            checkout.write("ledger.py", "def _front", f"# release {number}\ndef _front")
            said += checkout.stack("release", RELEASE=f"release-{number}")
            assert healthz(checkout)["release"] == f"release-{number}"
        while load.total < (LONG_REQUESTS if is_long else REQUESTS):
            load.await_more(1000)
    handovers = seconds_of_handovers(said)
    median = statistics.median(handovers)
    note = f"{len(handovers)} handovers, median {median:.1f} s, longest {max(handovers):.1f} s; "
    what = f"requests during {rounds * len(ROUND)} switches between all pairs and {rounds} releases"
    judge(record, SECTION, what, load, checkout, note)
    assert len(handovers) == rounds * (len(ROUND) + 1)
    assert median < HANDOVER_WITHIN
    assert_nothing_to_change(checkout)


def test_bad_releases_are_rolled_back(checkout, record):
    """A bad release is rolled back automatically and the reason is printed. No request fails, and the image's tag
    refers to the old image again.
    """
    before, served, rolled_back = checkout.webs(), healthz(checkout), []
    with Clients(checkout.address()) as load:
        for behaviour, reason in BAD.items():
            checkout.write("ledger.py", 'BEHAVIOUR = "good"', f'BEHAVIOUR = "{behaviour}"')
            rolled_back.append(is_rolled_back(checkout, reason))
            checkout.write("ledger.py", f'BEHAVIOUR = "{behaviour}"', 'BEHAVIOUR = "good"')
            assert (checkout.webs(), healthz(checkout)) == (before, served)
        checkout.write("migrate.py", "STATUS = 0", "STATUS = 3")
        rolled_back.append(is_rolled_back(checkout, "the migrations ended with status 3"))
        checkout.write("migrate.py", "STATUS = 3", "STATUS = 0")
    record(
        "Bad releases",
        f"releases: {', '.join([*BAD, 'failing migration'])}",
        len(rolled_back),
        rolled_back.count(False),
        "rolled back automatically, with the reason in one sentence",
    )
    judge(record, "Bad releases", "requests during these releases", load, checkout)
    assert all(rolled_back)
    assert_nothing_to_change(checkout)
    assert (checkout.webs(), healthz(checkout)) == (before, served)


def is_rolled_back(checkout, reason: str) -> bool:
    """Run a release and return whether it exits with status 1 and this reason."""
    done = checkout.run("./stack", "release", "--ready-within", str(NEVER_READY), RELEASE="bad")
    matches = re.search(f"^wrong: The release of .* was taken back: .*({reason})", done.stdout, re.MULTILINE)
    if done.returncode != 1 or not matches:
        print(done.stdout)
    return done.returncode == 1 and bool(matches)


def test_switch_waits_for_queued_requests(checkout, record):
    """Requests in the old container's queue at the handover are answered by the old container before it is stopped."""
    if healthz(checkout)["wsgi_server"] != "uwsgi":  # Gunicorn would answer its queue on SIGTERM as well
        checkout.stack("switch", "uwsgi")
    answers = []
    with checkout.start("switch", "gunicorn") as process, ThreadPoolExecutor(4 * THREADS) as pool:
        for line in process.stdout:
            if line.startswith("- trying it out") and not answers:
                answers = [pool.submit(requests.get, f"{checkout.url}/sleep/6", timeout=60) for _ in range(4 * THREADS)]
        statuses = [answer.result().status_code for answer in answers]
    lost = len(statuses) - statuses.count(200)
    what = "requests of 6 s, four for each thread of the old container"
    record("Queued requests during a switch", what, len(statuses), lost)
    assert (process.returncode, statuses) == (0, [200] * 4 * THREADS)
