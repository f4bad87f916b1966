"""A WSGI app without any framework that shows what reaches an app, and misbehaves on request.

The first segment of the path says what happens; any other is echoed. /seen hands out what this process has seen since
it was last asked, so tests that want to know that something was *not* seen run one process.
"""

import ctypes
import hashlib
import itertools
import json
import logging
import os
import sys
import threading
import time
from urllib.parse import parse_qs

JSON = [("Content-Type", "application/json")]
UNSEEN = ("ready", "seen")  # the health check's own requests, and the question itself

_seen = []


def _shown(environ) -> dict:
    return {name: value for name, value in environ.items() if isinstance(value, str | bool | tuple)}


def _echo(environ, start):
    return _send(start, json.dumps(_shown(environ)).encode())


def _send(start, body, status="200 OK", headers=()):
    start(status, [*JSON, ("Content-Length", str(len(body))), *headers])
    return [body]


def _ready(environ, start):
    return _send(start, b'"ready"')


def _hand_out_seen(environ, start):
    seen, _seen[:] = _seen[:], []
    return _send(start, json.dumps(seen).encode())


def _canary(environ, start):
    return _send(start, environ["PATH_INFO"].encode())


def _sleep(environ, start):
    print(f"at work on {environ['PATH_INFO']}")
    time.sleep(float(environ["PATH_INFO"].rpartition("/")[2]))
    return _send(start, b'"slept"')


def _spin(environ, start):
    while True:
        pass


def _refuse(environ, start):
    """Answers with the status that the path names, without reading the request's body."""
    status = environ["PATH_INFO"].rpartition("/")[2]
    return _send(start, b'"refused"', f"{status} Refused" if status.isdigit() else "200 OK")


def _stream(environ, start):
    """Ten parts of 10 kB, of no length that is told."""
    start("200 OK", [("Content-Type", "text/plain")])
    return (b"%d" % number * 10_000 for number in range(10))


def _write(environ, start):
    """By the write() of PEP 3333."""
    write = start("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "6")])
    write(b"abc")
    return [b"def"]


def _say(environ, start):
    """Speaks on every channel that an app has; the path's last segment tells one request from another."""
    word = environ["PATH_INFO"].rpartition("/")[2]
    print(f"printed {word}")
    print(f"complained {word}", file=sys.stderr)
    environ["wsgi.errors"].write(f"erred {word}\n")
    logging.getLogger("probe").warning("logged %s", word)
    return _send(start, b'"said"')


def _threads(environ, start):
    """Waits until as many requests are inside as the path names, so that they must be in threads of their own."""
    number = int(environ["PATH_INFO"].rpartition("/")[2])
    try:
        _barrier(number).wait(timeout=5)
    except threading.BrokenBarrierError:
        return _send(start, b'"alone"', "503 Alone")
    return _send(start, b'"together"')


_barriers: dict[int, threading.Barrier] = {}


def _barrier(number):
    return _barriers.setdefault(number, threading.Barrier(number))


def _raise_before(environ, start):
    raise RuntimeError("this app always raises")


def _raise_after_start(environ, start):
    start("200 OK", JSON)
    raise RuntimeError("this app raises after start_response")


def _raise_in_body(environ, start):
    start("200 OK", [*JSON, ("Content-Length", "10000")])

    def parts():
        yield b"x" * 5000
        raise RuntimeError("this app raises in the middle of its response")

    return parts()


def _raise_at_first_part(environ, start):
    start("200 OK", JSON)

    def parts():
        raise RuntimeError("this app raises before the first part")
        yield

    return parts()


def _short_body(environ, start):
    start("200 OK", [*JSON, ("Content-Length", "100")])
    return [b"short"]


def _long_body(environ, start):
    start("200 OK", [*JSON, ("Content-Length", "5")])
    return [b"short and more"]


def _split_header(environ, start):
    return _send(start, b"{}", headers=[("X-Split", "a\r\nX-Injected: yes")])


def _no_start(environ, start):
    return [b"a body without a head"]


def _with_body(status):
    def answer(environ, start):
        start(status, [("X-Probe", "here")])
        return [b"a body that does not belong here"]

    return answer


def _many_headers(environ, start):
    return _send(start, b"{}", headers=[("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"), ("X-Latin", "caf\xe9")])


def _process(environ, start):
    """Which process this is; after a moment, so that another one gets the next request."""
    time.sleep(0.05)
    return _send(start, str(os.getpid()).encode())


def _die(environ, start):
    """Takes the whole process down, in the way that the path names."""
    way = environ["PATH_INFO"].rpartition("/")[2]
    if way == "segfault":
        ctypes.string_at(0)
    elif way == "exit":
        os._exit(1)  # not 3 or 4, which tell Gunicorn that the app can't be loaded at all
    taken = []
    while True:  # until the container's memory limit
        taken.append(b"x" * 2**24)


def _take_descriptors(environ, start):
    """Takes every file descriptor that is left. Fails, and gives them back after so many seconds as the path names; or
    keeps them "for-ever", or "all-but-ten" as a leak does before its end, and says which process has lost them.
    """
    how_long = environ["PATH_INFO"].rpartition("/")[2]
    taken = []
    try:
        while True:
            taken.append(os.open(os.devnull, os.O_RDONLY))
    except OSError:
        if how_long == "all-but-ten":
            for descriptor in taken[-10:]:
                os.close(descriptor)
        if how_long in ("all-but-ten", "for-ever"):
            return _send(start, str(os.getpid()).encode())
        time.sleep(float(how_long))
        for descriptor in taken:
            os.close(descriptor)
        raise


def _large_header(environ, start):
    """A response header of so many bytes as the path names."""
    return _send(start, b"{}", headers=[("X-Large", "x" * int(environ["PATH_INFO"].rpartition("/")[2]))])


def _page(environ, start):
    """Says what it knows of who asked; status and headers as the query says, or as /become has said since."""
    query = parse_qs(environ["QUERY_STRING"])
    time.sleep(float(query.get("seconds", ["0"])[0]))
    headers = [tuple(line.split(": ", 1)) for line in query.get("header", [])]
    told = {name: environ.get(name, "") for name in TOLD} | {"number": next(_numbers), "process": os.uname().nodename}
    return _send(start, json.dumps(told).encode(), _become[0] or query.get("status", ["200 OK"])[0], headers)


def _set_become(environ, start):
    """From now on /page answers with this status; with an empty one, as its query says."""
    _become[0] = environ["PATH_INFO"].rpartition("/")[2]
    return _send(start, b'"so be it"')


TOLD = (
    "REQUEST_METHOD",
    "PATH_INFO",
    "QUERY_STRING",
    "HTTP_HOST",
    "wsgi.url_scheme",
    "HTTP_COOKIE",
    "CONTENT_LENGTH",
    "HTTP_AUTHORIZATION",
    "HTTP_PROXY_AUTHORIZATION",
    "HTTP_ACCEPT_LANGUAGE",
    "HTTP_RANGE",
    "HTTP_IF_NONE_MATCH",
)
_numbers = itertools.count(1)
_become = [""]


ROUTES = {
    "become": _set_become,
    "broken": _raise_before,
    "canary": _canary,
    "die": _die,
    "large-header": _large_header,
    "long-body": _long_body,
    "many-headers": _many_headers,
    "no-start": _no_start,
    "page": _page,
    "process": _process,
    "raise-after-start": _raise_after_start,
    "raise-at-first-part": _raise_at_first_part,
    "raise-in-body": _raise_in_body,
    "ready": _ready,
    "refuse": _refuse,
    "say": _say,
    "seen": _hand_out_seen,
    "short-body": _short_body,
    "sleep": _sleep,
    "spin": _spin,
    "split-header": _split_header,
    "stream": _stream,
    "take-descriptors": _take_descriptors,
    "threads": _threads,
    "with-body-204": _with_body("204 No Content"),
    "with-body-304": _with_body("304 Not Modified"),
    "write": _write,
}


def _note(environ, route):
    """Remembers the request; its body is read here, but where the point is that nobody reads it."""
    body = b"" if route == "refuse" else environ["wsgi.input"].read()
    seen = {"environ": _shown(environ), "length": len(body), "sha256": hashlib.sha256(body).hexdigest()}
    _seen.append(seen)


def application(environ, start_response):
    route = environ["PATH_INFO"].split("/")[1] if "/" in environ["PATH_INFO"] else ""
    if route not in UNSEEN:
        _note(environ, route)
    return ROUTES.get(route, _echo)(environ, start_response)


not_callable = "a string"
