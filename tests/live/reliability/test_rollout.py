"""./stack switch and release lose no request, no POST and no session, whatever is released."""

import re
import statistics
from concurrent.futures import ThreadPoolExecutor

import requests

from tests.live.reliability.checkout import assert_nothing_to_change, healthz, judge, settings_of
from tests.live.reliability.clients import Clients

SECTION = "Switch and release"
# Each of the six ordered pairs once.
ROUND = ("uwsgi", "mod_wsgi", "gunicorn", "mod_wsgi", "uwsgi", "gunicorn")
REQUESTS = 20_000
LONG_HANDOVERS, LONG_REQUESTS = 100, 1_000_000
HANDOVER_WITHIN = 2  # seconds
THREADS = 8  # of the web container: the checkout has two processes of four

NEVER_READY = 30  # seconds after which that is believed; longer than a good one takes on a busy machine
BAD = {  # the app's behaviour → a part of the sentence that tells why it was taken back
    "never ready": f"it was not ready within {NEVER_READY} s",
    "answers 500": "GET / answered 500",
    "does not import": "it exited",
    "server dies": "it exited|got no answer",
    "workers die": "got no answer|answered 50|it exited",  # Gunicorn ends as a whole when one dies with status 3
}


def seconds_of_handovers(said: str) -> list[float]:
    """How long each took, of all that ./stack has said."""
    return [float(found) for found in re.findall(r"^- handing over: ok \(([0-9.]+) s\)", said, re.MULTILINE)]


def test_switches_and_a_release_lose_nothing(checkout, record, is_long):
    """All six ordered pairs of servers, then a new image, under 32 clients: no request fails, each POST is applied
    exactly once, every session holds; and `docker compose up` finds nothing to change.
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
    what = f"requests during {rounds * len(ROUND)} switches, every pair, and {rounds} releases"
    judge(record, SECTION, what, load, checkout, note)
    assert len(handovers) == rounds * (len(ROUND) + 1)
    assert median < HANDOVER_WITHIN
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
        back.append(taken_back(checkout, "the migrations exited with status 3"))
        checkout.write("migrate.py", "STATUS = 3", "STATUS = 0")
    record(
        "Bad releases",
        f"releases: {', '.join([*BAD, 'its migration fails'])}",
        len(back),
        back.count(False),
        "rolled back automatically, with the reason in one sentence",
    )
    judge(record, "Bad releases", "requests during these", load, checkout)
    assert all(back)
    assert_nothing_to_change(checkout)
    assert (checkout.webs(), healthz(checkout)) == (before, served)


def taken_back(checkout, reason: str) -> bool:
    """Whether a release ends with status 1 and this reason."""
    done = checkout.run("./stack", "release", "--ready-within", str(NEVER_READY), RELEASE="bad")
    matches = re.search(f"^error: The release of .* was rolled back: .*({reason})", done.stdout, re.MULTILINE)
    if done.returncode != 1 or not matches:
        print(done.stdout)
    return done.returncode == 1 and bool(matches)


def test_what_waits_for_the_old_one_is_answered(checkout, record):
    """Requests that wait in the old container's queue when Nginx is pointed at the new one are answered by the old one,
    however long that takes: stopping it any earlier would close the queue.
    """
    if healthz(checkout)["wsgi_server"] != "uwsgi":  # Gunicorn's worker also answers what waits when it is told to stop
        checkout.stack("switch", "uwsgi")
    answers = []
    with checkout.start("switch", "gunicorn") as process, ThreadPoolExecutor(4 * THREADS) as pool:
        for line in process.stdout:
            if line.startswith("- running the smoke check") and not answers:
                answers = [pool.submit(requests.get, f"{checkout.url}/sleep/6", timeout=60) for _ in range(4 * THREADS)]
        statuses = [answer.result().status_code for answer in answers]
    lost = len(statuses) - statuses.count(200)
    what = "requests of 6 s, four for each thread of the old container"
    record("Waiting while a switch is made", what, len(statuses), lost)
    assert (process.returncode, statuses) == (0, [200] * 4 * THREADS)
