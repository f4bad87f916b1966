"""Bad releases are rolled back automatically. The smoke check and the watch take as long as by default."""

import re

import pytest

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
