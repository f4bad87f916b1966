"""A WSGI app without a framework that reports what reaches an app, and misbehaves on request.

The first segment of the path selects the behaviour (ROUTES); all other paths echo the environ. /seen returns the
requests that this process has received since the last call. Tests that assert that a request was *not* seen therefore
run a single process.
"""

import asyncio
import atexit
import ctypes
import faulthandler
import hashlib
import itertools
import json
import locale
import logging
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from urllib.parse import parse_qs

JSON = [("Content-Type", "application/json")]
UNRECORDED = ("ready", "seen")  # the health check's requests, and the query itself

_seen = []


def _serializable(environ) -> dict:
    return {name: value for name, value in environ.items() if isinstance(value, str | bool | tuple)}


def _echo(environ, start):
    return _send(start, json.dumps(_serializable(environ)).encode())


def _send(start, body, status="200 OK", headers=()):
    start(status, [*JSON, ("Content-Length", str(len(body))), *headers])
    return [body]


def _ready(environ, start):
    return _send(start, b'"ready"')


def _return_seen(environ, start):
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
    """Answer with the status named in the path, without reading the request's body."""
    status = environ["PATH_INFO"].rpartition("/")[2]
    return _send(start, b'"refused"', f"{status} Refused" if status.isdigit() else "200 OK")


def _stream(environ, start):
    """Stream ten parts of 10 kB without a Content-Length."""
    start("200 OK", [("Content-Type", "text/plain")])
    return (b"%d" % number * 10_000 for number in range(10))


def _write(environ, start):
    """Send a part of the body with the write() callable of PEP 3333."""
    write = start("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "6")])
    write(b"abc")
    return [b"def"]


def _say(environ, start):
    """Write to every output channel that an app has. The path's last segment identifies the request."""
    word = environ["PATH_INFO"].rpartition("/")[2]
    print(f"printed {word}")
    print(f"complained {word}", file=sys.stderr)
    environ["wsgi.errors"].write(f"erred {word}\n")
    logging.getLogger("probe").warning("logged %s", word)
    return _send(start, b'"written"')


def _print_raw(environ, start):
    """Write to the descriptors of stdout and stderr, past Python's streams. The path's last segment is in the lines."""
    word = environ["PATH_INFO"].rpartition("/")[2]
    os.write(1, f'written {word} "quoted" \u2028 \x1b[31m '.encode() + b"\xff\n")
    subprocess.run(["echo", f"child {word}"], stdout=sys.stdout, check=True)
    faulthandler.dump_traceback(file=sys.stderr)
    sys.stdout.buffer.write(f"bytes {word}\n".encode())
    print(f"long {word} {'x' * 100_000}")
    return _send(start, b'"written"')


def _threads(environ, start):
    """Wait until as many requests as the path names are in flight, which requires as many threads."""
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
    """Return the process id. The delay lets another process accept the next request."""
    time.sleep(0.05)
    return _send(start, str(os.getpid()).encode())


def _die(environ, start):
    """End the whole process in the way named in the path."""
    way = environ["PATH_INFO"].rpartition("/")[2]
    if way == "segfault":
        ctypes.string_at(0)
    elif way == "exit":
        os._exit(1)  # not 3 or 4, by which a Gunicorn worker reports that the app cannot be loaded
    allocated = []
    while True:  # until the container's memory limit is reached
        allocated.append(b"x" * 2**24)


def _take_descriptors(environ, start):
    """Open files until no file descriptor is left.

    The path's last segment is the number of seconds until they are closed again and the request fails. "for-ever"
    keeps them open; "all-but-ten" leaves ten, like a leak shortly before the limit. Both return the process id.
    """
    duration = environ["PATH_INFO"].rpartition("/")[2]
    opened = []
    try:
        while True:
            opened.append(os.open(os.devnull, os.O_RDONLY))
    except OSError:
        if duration == "all-but-ten":
            for descriptor in opened[-10:]:
                os.close(descriptor)
        if duration in ("all-but-ten", "for-ever"):
            return _send(start, str(os.getpid()).encode())
        time.sleep(float(duration))
        for descriptor in opened:
            os.close(descriptor)
        raise


def _large_header(environ, start):
    """Send a response header of as many bytes as the path names."""
    return _send(start, b"{}", headers=[("X-Large", "x" * int(environ["PATH_INFO"].rpartition("/")[2]))])


def _page(environ, start):
    """Report the request as seen by the app. The query sets status and headers; /become overrides the status."""
    query = parse_qs(environ["QUERY_STRING"])
    time.sleep(float(query.get("seconds", ["0"])[0]))
    headers = [tuple(line.split(": ", 1)) for line in query.get("header", [])]
    report = {name: environ.get(name, "") for name in REPORTED} | {
        "number": next(_numbers),
        "process": os.uname().nodename,
    }
    return _send(start, json.dumps(report).encode(), _page_status[0] or query.get("status", ["200 OK"])[0], headers)


def _set_page_status(environ, start):
    """Make /page answer with this status from now on; an empty status restores the one in the query."""
    _page_status[0] = environ["PATH_INFO"].rpartition("/")[2]
    return _send(start, b'"ok"')


def _respond(environ, start):
    """Send exactly the status, headers and parts of the body that the query names."""
    query = parse_qs(environ["QUERY_STRING"], keep_blank_values=True)
    start(query["status"][0], [tuple(line.split(": ", 1)) for line in query.get("header", [])])
    return [part.encode() for part in query.get("part", [])]


def _return_text(environ, start):
    """Return a body that is str instead of bytes."""
    start("200 OK", [("Content-Type", "text/plain")])
    return ["text"]


def _fail(how):
    """Fail in the way that a client names: an exception, or the end of the process."""
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif how == "exit":
        os._exit(1)
    elif how == "segfault":
        ctypes.string_at(0)
    elif how == "stuck":
        while True:
            pass
    elif how:
        raise EXCEPTIONS[how]("this app fails")


EXCEPTIONS = {
    exception.__name__: exception
    for exception in (
        RuntimeError,
        ConnectionResetError,
        MemoryError,
        SystemExit,
        KeyboardInterrupt,
        GeneratorExit,
        asyncio.CancelledError,
    )
}


def _fail_at_once(environ, start):
    """Fail in the way that the path's last segment names."""
    _fail(environ["PATH_INFO"].rpartition("/")[2])


def _ten_parts(environ, start):
    """Send ten parts of `size` bytes, with a Content-Length if there is `length` in the query.

    After five of them the app fails as the header X-Fail says.
    """
    query = parse_qs(environ["QUERY_STRING"])
    size = int(query["size"][0])
    headers = [tuple(line.split(": ", 1)) for line in query.get("header", [])]
    start("200 OK", headers + ([("Content-Length", str(10 * size))] if "length" in query else []))
    return _failing_parts(size, environ.get("HTTP_X_FAIL"))


def _failing_parts(size, how):
    for number in range(10):
        if number == 5:
            _fail(how)
        yield b"%d" % number * size


def _fail_in_close(environ, start):
    """Send a complete response, and fail when the server closes it."""
    start("200 OK", [("Content-Type", "text/plain")])
    return _FailingClose(environ["PATH_INFO"].rpartition("/")[2])


class _FailingClose:
    def __init__(self, how):
        self._how = how

    def __iter__(self):
        return iter([b"complete"])

    def close(self):
        _fail(self._how)


def _events(environ, start):
    """Send an event, and a second one when a request to /release names the same last segment of the path."""
    released = _released.setdefault(environ["PATH_INFO"].rpartition("/")[2], threading.Event())
    start("200 OK", [("Content-Type", "text/event-stream")])

    def events():
        yield b"data: first\n\n"
        released.wait(20)
        yield b"data: second\n\n"

    return events()


def _big(environ, start):
    """Send `mb` megabytes, with a Content-Length if there is `length` in the query."""
    query = parse_qs(environ["QUERY_STRING"], keep_blank_values=True)
    megabytes = int(query["mb"][0])
    length = [("Content-Length", str(megabytes * 10**6))] if "length" in query else []
    start("200 OK", [("Content-Type", "application/octet-stream"), *length])
    return (b"x" * 10**5 for _ in range(megabytes * 10))


def _silent_events(environ, start):
    """Send two events with as many seconds between them as the path names."""
    seconds = float(environ["PATH_INFO"].rpartition("/")[2])
    start("200 OK", [("Content-Type", "text/event-stream")])

    def events():
        yield b"data: first\n\n"
        time.sleep(seconds)
        yield b"data: second\n\n"

    return events()


def _release(environ, start):
    _released.setdefault(environ["PATH_INFO"].rpartition("/")[2], threading.Event()).set()
    return _send(start, b'"released"')


_released: dict[str, threading.Event] = {}


def _report_process(environ, start):
    """Report what an app can find out about the process that it lives in."""
    os.umask(umask := os.umask(0))
    with tempfile.NamedTemporaryFile(dir=os.environ["HOME"]):
        pass  # fails unless HOME is writable
    report = {
        "environ": dict(os.environ),
        "argv": [sys.executable, sys.argv, sys.orig_argv],
        "path": sys.path,
        "flags": str(sys.flags),
        "prefix": [sys.prefix, sys.exec_prefix],
        "encodings": [locale.getpreferredencoding(), sys.getfilesystemencoding(), sys.getfilesystemencodeerrors()],
        "locale": locale.setlocale(locale.LC_ALL),
        "umask": umask,
        "cwd": os.getcwd(),
        "uid": [os.getuid(), os.getgid(), os.getgroups()],
        "SIGPIPE": signal.getsignal(signal.SIGPIPE).name,
        "stdin": os.readlink("/proc/self/fd/0"),
        "new threads are daemons": threading.Thread().daemon,
        "recursion limit": sys.getrecursionlimit(),
        "switch interval": sys.getswitchinterval(),
        "warnings": sys.warnoptions,
        "nice": os.nice(0),
        "stack size": threading.stack_size(),
        "time zone": time.tzname,
        "streams": [stream.encoding for stream in (sys.stdin, sys.stdout, sys.stderr)],
        "main module": getattr(sys.modules["__main__"], "__name__", ""),
    }
    return _send(start, json.dumps(report).encode())


def _start_processes(environ, start):
    """Report what processes return that the app starts in the usual ways."""
    script = "import os, sys; print(6 * 7, os.environ['WSGI_APP']); sys.exit(3)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    report = {"sys.executable": [done.returncode, done.stdout, done.stderr]}
    for method in multiprocessing.get_all_start_methods():
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context(method)) as pool:
            report[method] = pool.submit(abs, -2).result(timeout=10)
    return _send(start, json.dumps(report).encode())


def _terminate_process(environ, start):
    """Return the exit status of a process that the app terminates. The delay lets each thread accept a request."""
    time.sleep(0.3)
    child = subprocess.Popen(["sleep", "60"])
    child.terminate()
    try:
        return _send(start, str(child.wait(1)).encode())
    except subprocess.TimeoutExpired:
        child.kill()
        return _send(start, b"alive")


async def _double(number):
    await asyncio.sleep(0.01)
    return 2 * number


def _use_python(environ, start):
    """Report what an app gets from Python that depends on threads, the locale and the stack."""
    name = os.path.join(os.environ["STATE_DIRECTORY"], "\u00fcber \u65e5\u672c.txt")
    with open(name, "w") as file:
        file.write("gr\u00fc\u00dfe")
    with open(name) as file:
        text = file.read()
    nested = json.loads("[" * 900 + "]" * 900)
    return _send(start, json.dumps([text, asyncio.run(_double(21)), len(nested), _depth(900)]).encode())


def _depth(left):
    return 1 + _depth(left - 1) if left else 0


def _background(environ, start):
    """Write the path's last segment into a file of the state directory, in a thread that the request does not await."""
    word = environ["PATH_INFO"].rpartition("/")[2]

    def work():
        time.sleep(2)
        _write_state(word)

    threading.Thread(target=work).start()
    return _send(start, b'"started"')


def _at_exit(environ, start):
    """Write the path's last segment into a file of the state directory when Python exits."""
    atexit.register(_write_state, environ["PATH_INFO"].rpartition("/")[2])
    return _send(start, b'"registered"')


def _write_state(word):
    with open(os.path.join(os.environ["STATE_DIRECTORY"], word), "w") as file:
        file.write("done")


REPORTED = (
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
_page_status = [""]


ROUTES = {
    "at-exit": _at_exit,
    "background": _background,
    "become": _set_page_status,
    "big": _big,
    "broken": _raise_before,
    "canary": _canary,
    "die": _die,
    "events": _events,
    "fail": _fail_at_once,
    "fail-in-close": _fail_in_close,
    "large-header": _large_header,
    "long-body": _long_body,
    "many-headers": _many_headers,
    "no-start": _no_start,
    "page": _page,
    "print-raw": _print_raw,
    "process": _process,
    "raise-after-start": _raise_after_start,
    "raise-at-first-part": _raise_at_first_part,
    "raise-in-body": _raise_in_body,
    "ready": _ready,
    "report-process": _report_process,
    "refuse": _refuse,
    "release": _release,
    "respond": _respond,
    "return-text": _return_text,
    "say": _say,
    "seen": _return_seen,
    "short-body": _short_body,
    "silent-events": _silent_events,
    "sleep": _sleep,
    "spin": _spin,
    "split-header": _split_header,
    "start-processes": _start_processes,
    "stream": _stream,
    "take-descriptors": _take_descriptors,
    "ten-parts": _ten_parts,
    "terminate-process": _terminate_process,
    "threads": _threads,
    "use-python": _use_python,
    "with-body-204": _with_body("204 No Content"),
    "with-body-304": _with_body("304 Not Modified"),
    "write": _write,
}


def _record(environ, route):
    """Record the request and the digest of its body. /refuse must leave the body unread."""
    body = b"" if route == "refuse" else environ["wsgi.input"].read()
    seen = {"environ": _serializable(environ), "length": len(body), "sha256": hashlib.sha256(body).hexdigest()}
    _seen.append(seen)


def application(environ, start_response):
    route = environ["PATH_INFO"].split("/")[1] if "/" in environ["PATH_INFO"] else ""
    if route not in UNRECORDED:
        _record(environ, route)
    return ROUTES.get(route, _echo)(environ, start_response)


not_callable = "a string"
