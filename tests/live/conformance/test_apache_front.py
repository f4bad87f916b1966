"""Apache without Nginx (deploy/targets/apache) refuses what Nginx refuses, except for the list in known.py."""

import pytest
import requests

from tests.live.conformance import cases, known
from tests.live.conformance.wire import ask
from tests.live.stack import Stack

TABLES = (cases.LENGTHS, cases.CODINGS, cases.LINES, cases.HOSTS, cases.LIMITS)
# Without HTTP/0.9, which has no status: Apache refuses it too, but how depends on the packets.
CASES = [case for table in TABLES for case in table if case.statuses != (0,)]


@pytest.fixture(scope="module")
def apache():
    """The probe behind Apache without Nginx, in one process that records all requests."""
    stack = Stack("../../deploy/targets/apache/compose.yml", "probe.yml", WEB_CONCURRENCY="1", RELEASE_COMMAND="true")
    try:
        stack.up()
        yield stack
    finally:
        stack.down()


def test_apache_without_nginx(fleet, table, apache):
    """Every request of the tables gets the same status as from Nginx, or the listed one. Refused requests do not reach
    the app.
    """
    others = {server.name: "–" for server in fleet.servers}
    for case in CASES:
        answer = ask(apache.port, case.payload)
        paths = [seen["environ"]["PATH_INFO"] for seen in requests.get(f"{apache.url}/seen", timeout=10).json()]
        seen = [path for path in paths if not path.startswith("/canary/")]
        status, reason = known.APACHE_FRONT.get(case.name, (case.statuses[-1], ""))
        assert answer.statuses[-1:] == (status,), case.name
        assert "foreign" not in answer.canary, case.name
        assert len(seen) <= answer.statuses.count(200), (case.name, seen)
        if reason:
            table.add(
                "Apache without Nginx",
                case.name,
                f"{status}, Nginx: {case.statuses[-1]}. {reason}",
                others | {"mod_wsgi": f"{status}; app saw {len(seen)}"},
            )
    table.add(
        "Apache without Nginx",
        f"{len(CASES)} requests of the other tables",
        "the status that Nginx gives, except for these",
        others | {"mod_wsgi": f"= {len(CASES)}"},
        len(CASES),
    )
    assert set(known.APACHE_FRONT) <= {case.name for case in CASES}
