"""A stuck request costs itself alone, also without Nginx in front; reliability/test_stuck_requests.py has Nginx."""

import time
from concurrent.futures import ThreadPoolExecutor

from tests.live.conformance.cases import request
from tests.live.conformance.everywhere import on_each
from tests.live.conformance.wire import Connection, Response
from tests.live.stack import Stack

ROUND = 8  # seconds; the worker process is replaced in the middle
PATIENCE = 30  # seconds for a response on a busy machine


def ask(stack: Stack, target: str) -> Response | None:
    with Connection(stack.port, timeout=PATIENCE) as connection:
        connection.send(request(f"GET {target}", "Connection: close"))
        return connection.read()


def test_stuck_request_costs_itself_alone(without_nginx):
    """A request that is stuck in C code gets no 200 and its worker process is replaced; every other request to this
    process is answered, before, during and after that, and so is a silent stream of events.
    """

    def bystander(stack: Stack) -> list[Response | None]:
        answers, end = [], time.monotonic() + ROUND
        while time.monotonic() < end:
            answers.append(ask(stack, "/sleep/0.7"))
        return answers

    def one_round(stack: Stack) -> tuple[bool, list[int], bool]:
        with ThreadPoolExecutor() as pool:
            stuck = pool.submit(ask, stack, "/sleep/60")
            events = pool.submit(ask, stack, "/silent-events/4")
            others = [pool.submit(bystander, stack) for _ in range(2)]
            answers = [answer for other in others for answer in other.result()]
            failed = [answer and answer.status for answer in answers if not answer or answer.status != 200]
            is_refused = stuck.result() is None or stuck.result().status >= 500
            return is_refused, failed, b"second" in events.result().body

    results = on_each(without_nginx, one_round)
    assert results == dict.fromkeys(without_nginx, (True, [], True))
