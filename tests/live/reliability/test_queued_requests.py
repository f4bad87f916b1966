"""A switch waits for the requests in the queue of the old container."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

THREADS = 8  # of the web container: two processes with four threads (checkout.SETTINGS)


@pytest.fixture(scope="module")
def checkout(make_checkout, is_long):
    """A running stack in its own checkout with uWSGI: Gunicorn would answer its queue on SIGTERM as well."""
    return make_checkout(short=not is_long, WSGI_SERVER="uwsgi")


def test_switch_waits_for_queued_requests(checkout, record, is_long):
    """Requests that wait in the old container's queue after the handover are answered before it is stopped."""
    seconds = 6 if is_long else 3  # that each request takes: four times this is longer than the rest of the switch
    answers, queued = [], 0
    with checkout.start("switch", "gunicorn") as process, ThreadPoolExecutor(4 * THREADS) as pool:
        for line in process.stdout:
            if line.startswith("- running the smoke check") and not answers:
                url = f"{checkout.url}/sleep/{seconds}"
                answers = [pool.submit(requests.get, url, timeout=60) for _ in range(4 * THREADS)]
            if line.startswith("- draining") and not queued:
                queued = sum(not answer.done() for answer in answers) - THREADS
        statuses = [answer.result().status_code for answer in answers]
    lost = len(statuses) - statuses.count(200)
    what = f"requests of {seconds} s, four for each thread of the old container"
    record("Queued requests during a switch", what, len(statuses), lost)
    assert (process.returncode, statuses) == (0, [200] * 4 * THREADS)
    assert queued > 0
