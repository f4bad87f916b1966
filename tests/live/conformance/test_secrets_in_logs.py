"""No token and no password reaches a log: of Nginx, of any server with and without Nginx, of Apache alone."""

import re
import time

from tests.live.conformance.cases import request
from tests.live.conformance.everywhere import on_each
from tests.live.conformance.wire import ask
from tests.live.stack import Stack, docker

SECRET = "s3cr3t-t0ken.Zm9v"
WITHIN = 15  # seconds; Nginx buffers its access log for one
LAST = "the-last-of-these"
TARGETS = (
    f"/reset/{SECRET}",
    f"/confirm/{SECRET}/",
    f"/broken/confirm/{SECRET}",  # the app raises, and the middleware logs the path
    f"/raise-in-body/reset/{SECRET}",
    f"/r%65set%2F{SECRET}",  # as mail scanners may write it
    f"/a/../reset//{SECRET}",
    f"/?password={SECRET}",
    f"/broken?token={SECRET}",
    f"http://user:{SECRET}@probe/reset/{SECRET}?x={SECRET}",
    f"/static/no-such-file?{SECRET}",
)
HEADERS = (f"Referer: http://probe/reset/{SECRET}?x={SECRET}", f"Authorization: Bearer {SECRET}", f"Cookie: a={SECRET}")


def log_of(stack: Stack) -> str:
    """All lines of the stack's containers."""
    said = [docker("logs", container) for container in stack.compose("ps", "--all", "--quiet").stdout.split()]
    return "".join(done.stdout + done.stderr for done in said)


def secrets_in_log(stack: Stack) -> list[str]:
    """Send requests that contain the secret, as complete and as aborted requests, and return the lines that show it."""
    for target in TARGETS:
        ask(stack.port, request(f"GET {target}", *HEADERS, "Connection: close"))
        ask(stack.port, request(f"NOSUCH {target}", *HEADERS, "Connection: close"))
        ask(stack.port, request(f"GET {target}", *HEADERS, "Connection: close", version="HTTP/9.9"))
        ask(stack.port, request(f"POST {target}", *HEADERS, "Content-Length: x", "Connection: close"))
    ask(stack.port, request(f"GET /broken/{LAST}", "Connection: close"))
    end = time.monotonic() + WITHIN
    while LAST not in (said := log_of(stack)) and time.monotonic() < end:
        time.sleep(0.2)
    assert f"GET /broken/{LAST}" in said or f"/broken/{LAST}" in said
    assert "***" in said  # the requests themselves are logged
    return [line for line in re.split(r"\n", said) if SECRET in line][:3]


def test_no_log_contains_a_secret(stacks):
    """What follows MASKED_PATHS, query strings, and passwords in URLs and headers are in no line, of any server: access
    log, error log, and the app's exceptions.
    """
    assert on_each(stacks, secrets_in_log) == {name: [] for name in stacks}
