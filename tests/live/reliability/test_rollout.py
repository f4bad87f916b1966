"""./stack switch and release lose no request, no POST and no session."""

import re
import statistics

from tests.live.reliability.checkout import assert_nothing_to_change, healthz, judge, settings_of

SECTION = "Switch and release"
# Starting from gunicorn, each of the six ordered pairs of servers once.
ROUND = ("uwsgi", "mod_wsgi", "gunicorn", "mod_wsgi", "uwsgi", "gunicorn")
REQUESTS = 2_000
LONG_HANDOVERS, LONG_REQUESTS = 100, 1_000_000
HANDOVER_WITHIN = 2  # seconds


def seconds_of_handovers(said: str) -> list[float]:
    """Return the duration of each handover in the output of ./stack."""
    return [float(found) for found in re.findall(r"^- handing over: ok \(([0-9.]+) s\)", said, re.MULTILINE)]


def test_switches_and_releases_lose_no_request(checkout, clients, record, is_long):
    """Switches between all six ordered pairs of servers, then a new image, with 32 clients: no request fails, each POST
    is recorded exactly once, every session stays valid, and `docker compose up` changes nothing.
    """
    rounds = LONG_HANDOVERS // (len(ROUND) + 1) + 1 if is_long else 1
    said = ""
    with clients(checkout.address(), pause=0.03) as load:
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
