"""Runs of ./stack switch and release that are refused: nothing has changed."""

import signal

from tests.live.reliability.checkout import healthz, kill_at


def test_concurrent_run_is_refused(checkout):
    """A second run is refused at once while the first is active, and the first one succeeds."""
    with checkout.start("switch", "uwsgi") as first:
        for line in first.stdout:
            if "running the migrations," in line:
                break
        second = checkout.run("./stack", "switch", "mod_wsgi")
        first.stdout.read()
    assert (first.returncode, second.returncode) == (0, 1)
    assert "is running in this folder" in second.stdout
    assert (len(checkout.webs()), healthz(checkout)["wsgi_server"]) == (1, "uwsgi")


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
    # The active container contains the migration by now, so the next release gets beyond this check.
    kill_at(checkout, "running the migrations,", signal.SIGINT, "release")
