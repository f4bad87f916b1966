"""Apache as the front, without Nginx (deploy/targets/apache): it refuses what Nginx refuses, or a list says why not."""

import pytest
import requests

from tests.live.conformance import cases, known
from tests.live.conformance.wire import ask
from tests.live.stack import Stack

TABLES = (cases.LENGTHS, cases.CODINGS, cases.LINES, cases.HOSTS, cases.LIMITS)
# HTTP/0.9, which has no status, is refused too, but in one form or another, as the bytes arrive.
CASES = [case for table in TABLES for case in table if case.statuses != (0,)]


@pytest.fixture(scope="module")
def apache():
    """The probe behind Apache alone, in one process, which remembers what it has seen."""
    stack = Stack("../../deploy/targets/apache/compose.yml", "probe.yml", WEB_CONCURRENCY="1", RELEASE_COMMAND="true")
    try:
        stack.up()
        yield stack
    finally:
        stack.down()


def test_apache_as_the_front(fleet, table, apache):
    """Every request of the tables gets the status that Nginx gives, or the one in the list; the app sees none that is
    refused.
    """
    others = {server.name: "–" for server in fleet.servers}
    for case in CASES:
        answer = ask(apache.port, case.payload)
        found = [seen["environ"]["PATH_INFO"] for seen in requests.get(f"{apache.url}/seen", timeout=10).json()]
        seen = [path for path in found if not path.startswith("/canary/")]
        status, why = known.APACHE_FRONT.get(case.name, (case.statuses[-1], ""))
        assert answer.statuses[-1:] == (status,), case.name
        assert "foreign" not in answer.canary, case.name
        assert len(seen) <= answer.statuses.count(200), (case.name, seen)
        if why:
            table.add(
                "Apache as the front",
                case.name,
                f"{status}, Nginx: {case.statuses[-1]}. {why}",
                others | {"mod_wsgi": f"{status}; app saw {len(seen)}"},
            )
    table.add(
        "Apache as the front",
        f"{len(CASES)} requests of the tables above",
        "the same, but for these",
        others | {"mod_wsgi": f"= {len(CASES)}"},
        len(CASES),
    )
    assert set(known.APACHE_FRONT) <= {case.name for case in CASES}
