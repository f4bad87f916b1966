"""Bad releases are rolled back automatically. The smoke check and the watch take as long as by default."""

import contextlib
import re
import threading
from collections import Counter
from collections.abc import Iterator

import pytest
import requests

from tests.live.reliability.checkout import assert_nothing_to_change, healthz, judge

SECTION = "Bad releases"
NEVER_READY = 8  # seconds
BAD = {  # the app's BEHAVIOUR → a part of the printed reason for the rollback
    "never ready": f"it was not ready within {NEVER_READY} s",
    "answers 500": "GET / .*answered 500",
    "does not import": "it exited",
    "server dies": "it exited|got no answer",
    "workers die": "got no answer|answered 50|it exited",  # Gunicorn exits when a worker exits with status 3
}


@pytest.fixture(scope="module")
def checkout(make_checkout):
    """A running stack in its own checkout, with the default rollout."""
    return make_checkout(short=False)


def test_bad_releases_are_rolled_back(checkout, clients, record):
    """A bad release is rolled back automatically and the reason is printed. No request fails, and the image's tag
    refers to the old image again.
    """
    before, served, rolled_back = checkout.webs(), healthz(checkout), []
    with clients(checkout.address()) as load:
        for behaviour, reason in BAD.items():
            checkout.write("ledger.py", 'BEHAVIOUR = "good"', f'BEHAVIOUR = "{behaviour}"')
            options = ("--ready-within", str(NEVER_READY)) if behaviour == "never ready" else ()
            rolled_back.append(is_rolled_back(checkout, reason, *options))
            checkout.write("ledger.py", f'BEHAVIOUR = "{behaviour}"', 'BEHAVIOUR = "good"')
            assert (checkout.webs(), healthz(checkout)) == (before, served)
        checkout.write("migrate.py", "STATUS = 0", "STATUS = 3")
        rolled_back.append(is_rolled_back(checkout, "the migrations exited with status 3"))
        checkout.write("migrate.py", "STATUS = 3", "STATUS = 0")
    record(
        SECTION,
        f"releases: {', '.join([*BAD, 'failing migration'])}",
        len(rolled_back),
        rolled_back.count(False),
        "rolled back automatically, with the reason in one sentence",
    )
    judge(record, SECTION, "requests during these releases", load, checkout)
    assert all(rolled_back)
    assert_nothing_to_change(checkout)
    assert (checkout.webs(), healthz(checkout)) == (before, served)


def test_release_that_fails_with_clients_is_rolled_back(checkout):
    """A release that passes its smoke check and fails when clients use it is rolled back after the handover."""
    before = checkout.webs()
    checkout.write("ledger.py", 'BEHAVIOUR = "good"', 'BEHAVIOUR = "fails with clients"')
    with client_requests(checkout, "/page/1"):
        assert is_rolled_back(checkout, "GET / .*answered 500")
    checkout.write("ledger.py", 'BEHAVIOUR = "fails with clients"', 'BEHAVIOUR = "good"')
    assert checkout.webs() == before


@pytest.mark.parametrize("path", ["/no-such-route", "/crash"])
def test_clients_cannot_roll_a_release_back(checkout, path, record):
    """Clients that cause 500, or crash worker processes (502), from the handover to its end roll no release back."""
    before = checkout.webs()
    with client_requests(checkout, path) as statuses:
        checkout.stack("release", RELEASE=f"attacked{path}")
    errors = {status: count for status, count in statuses.items() if status >= 500}
    assert sum(errors.values()) > 10, statuses
    assert (checkout.webs() != before, healthz(checkout)["release"]) == (True, f"attacked{path}")
    record(SECTION, f"release while a client causes {', '.join(map(str, sorted(errors)))}", 1, 0, "is not rolled back")


@contextlib.contextmanager
def client_requests(checkout, path: str) -> Iterator[Counter]:
    """Request a path as soon as another release answers, until the context ends; count the statuses."""
    before, statuses, stopping = healthz(checkout), Counter(), threading.Event()

    def run() -> None:
        session = requests.Session()
        while not stopping.wait(0.05):
            with contextlib.suppress(requests.RequestException, ValueError):
                if statuses or session.get(f"{checkout.url}/healthz", timeout=10).json() != before:
                    statuses[session.get(checkout.url + path, timeout=10).status_code] += 1

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield statuses
    finally:
        stopping.set()
        thread.join()


def is_rolled_back(checkout, reason: str, *options: str) -> bool:
    """Run a release and return whether it exits with status 1 and this reason."""
    done = checkout.run("./stack", "release", *options, RELEASE="bad")
    matches = re.search(f"^error: The release of .* was rolled back: .*({reason})", done.stdout, re.MULTILINE)
    if done.returncode != 1 or not matches:
        print(done.stdout)
    return done.returncode == 1 and bool(matches)


def test_smoke_check_and_watch_last_4_s(checkout):
    """By default, the smoke check of a new container and the watch after the handover last 4 s each."""
    said = checkout.stack("release", RELEASE="good")
    for step in ("running the smoke check", "watching it"):
        (seconds,) = re.findall(rf"^- {step} for 4 s: ok \(([0-9.]+) s\)$", said, re.MULTILINE)
        assert float(seconds) >= 4
