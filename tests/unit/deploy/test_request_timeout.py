"""deploy/middleware/request_timeout.py; each test runs in a process of its own, because the watchdog may end it."""

import json

import pytest

from tests.support.wsgi import python

TIMEOUT = 0.1
PROLOGUE = """if 1:
    import json, os, sys, threading, time
    from deploy import logs
    from deploy.middleware import request_timeout
    from tests.support.wsgi import ask, text
    logs.set_level("info")
    request_timeout.TICK = 0.01
    SETTINGS = {"REQUEST_TIMEOUT": "0.1", "STREAM_TIMEOUT": "0.6", "SHUTDOWN_GRACE": "5", "WEB_THREADS": "1"}
    def wrap(app, timeout="0.1", **settings):
        settings = SETTINGS | {"REQUEST_TIMEOUT": timeout, "RUNTIME_DIRECTORY": "/nonexistent"} | settings
        return request_timeout.wrap(app, settings)
    def spin_in_python(seconds=30):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            pass
    def app(body):
        def app(environ, start_response):
            start_response("200 OK", [])
            return body()
        return app
"""


def run(code: str, status: int = 0) -> tuple[list[str], list[dict]]:
    """The lines that the code printed, and the log lines of its process."""
    done = python(PROLOGUE + code)
    assert done.returncode == status, done.stderr
    return done.stdout.splitlines(), [json.loads(line) for line in done.stderr.splitlines() if line[:1] == "{"]


def test_stuck_request_is_504():
    """A request that is stuck in Python gets 504 in time, and its label and stack are logged."""
    printed, log = run("""
    def stuck(environ, start_response):
        spin_in_python()
    began = time.monotonic()
    print(ask(wrap(stuck), "/slow", HTTP_X_REQUEST_ID="id-5").status)
    print(time.monotonic() - began)
    """)
    assert printed[0] == "504 Gateway Timeout"
    assert TIMEOUT <= float(printed[1]) < TIMEOUT + 0.5
    (line,) = log
    assert "GET /slow (id-5)" in line["message"]
    assert "spin_in_python" in line["traceback"]


def test_except_exception_does_not_catch_it():
    """An app that catches Exception is interrupted too."""
    printed, _ = run("""
    def stubborn(environ, start_response):
        while True:
            try:
                spin_in_python()
            except Exception:
                pass
    print(ask(wrap(stubborn)).status)
    """)
    assert printed == ["504 Gateway Timeout"]


def test_request_that_cannot_be_interrupted_ends_its_process():
    """A request that is stuck in C code ends its worker process, so that the server starts a new one."""
    printed, log = run(
        """
    request_timeout.EXIT_DELAY = 0.05
    ask(wrap(lambda environ, start_response: time.sleep(30)), "/slow")
    print("still here")
    """,
        status=1,
    )
    assert printed == []
    assert log[-1]["level"] == "CRITICAL" and "GET /slow" in log[-1]["message"]


def test_stuck_request_leaves_the_others_their_time():
    """A request that is stuck in C code ends its process only when the other requests have been answered, the longest
    part of which is sent to a slow client.
    """
    printed, _ = run(
        """
    import signal
    request_timeout.EXIT_DELAY, request_timeout.ACCEPT_DELAY = 0.5, 0.05
    signal.signal(signal.SIGTERM, lambda *_: print("stops", flush=True))
    def other(environ, start_response):
        start_response("200 OK", [])
        return [b"1", b"2"]
    watched = wrap(lambda *request: (other if request[0]["PATH_INFO"] == "/" else stuck)(*request), WEB_THREADS="3")
    def stuck(environ, start_response):
        time.sleep(30)
    body = watched({"REQUEST_METHOD": "GET", "PATH_INFO": "/"}, lambda *a: None)
    threading.Thread(target=ask, args=(watched, "/slow"), daemon=True).start()
    for part in body:
        time.sleep(1)
        print(part, flush=True)
    body.close()
    time.sleep(5)
    print("still here", flush=True)
    """,
        status=1,
    )
    assert printed == ["stops", "b'1'", "b'2'"]


def test_replacement_waits_for_shutdown_grace_at_most():
    """A response that lasts longer than SHUTDOWN_GRACE after the process has stopped accepting is cut off."""
    printed, _ = run(
        """
    import signal
    request_timeout.EXIT_DELAY, request_timeout.ACCEPT_DELAY = 0.5, 0.05
    signal.signal(signal.SIGTERM, lambda *_: print("stops", flush=True))
    def answer(environ, start_response):
        return time.sleep(30) if environ["PATH_INFO"] == "/slow" else text()(environ, start_response)
    watched = wrap(answer, WEB_THREADS="2", SHUTDOWN_GRACE="1")
    body = watched({"REQUEST_METHOD": "GET", "PATH_INFO": "/"}, lambda *a: None)
    threading.Thread(target=ask, args=(watched, "/slow"), daemon=True).start()
    for _ in range(500):
        time.sleep(0.01)  # a signal that another thread receives is handled at the end of the sleep
    print("still here", flush=True)
    """,
        status=1,
    )
    assert printed == ["stops"]


def test_event_stream_has_its_own_timeout():
    """A stream of server-sent events may be silent for STREAM_TIMEOUT; a longer silence ends it."""
    printed, log = run("""
    def events():
        for seconds in (0.3, 0.3, 30):
            yield b"x"
            spin_in_python(seconds)
    def stream(environ, start_response):
        start_response("200 OK", [("Content-Type", "Text/Event-Stream; charset=utf-8")])
        return events()
    began = time.monotonic()
    try:
        ask(wrap(stream))
    except TimeoutError as error:
        print(error)
    print(time.monotonic() - began)
    """)
    assert "within STREAM_TIMEOUT" in printed[0]
    assert 1.2 <= float(printed[1]) < 2
    assert len(log) == 1


@pytest.mark.parametrize(("sending", "beats"), [(2, True), (1, False)])
def test_sending_threads_are_alive(tmp_path, sending, beats):
    """A server whose threads all send to slow clients keeps its heartbeat; one with an idle thread, which should
    answer, does not.
    """
    printed, _ = run(f"""
    from pathlib import Path
    from deploy import heartbeat
    values = {{"RUNTIME_DIRECTORY": {str(tmp_path)!r}, "WEB_THREADS": "2"}}
    watched = wrap(app(lambda: iter([b"1"] * 100)), "30", **values)
    def send():
        for part in watched({{"REQUEST_METHOD": "GET", "PATH_INFO": "/"}}, lambda *a: None):
            time.sleep(30)
    for _ in range({sending}):
        threading.Thread(target=send, daemon=True).start()
    time.sleep(0.3)
    path = heartbeat._path(SETTINGS | values)
    path.unlink(missing_ok=True)
    time.sleep(0.3)
    print(path.exists(), flush=True)
    os._exit(0)
    """)
    assert printed == [str(beats)]


def test_stuck_watchdog_is_ended_by_faulthandler():
    """C code that holds the GIL, and so blocks the watchdog, is ended by the thread of faulthandler."""
    _, log = run(
        """
    request_timeout.FAULTHANDLER_DELAY = 0.2
    import re
    ask(wrap(lambda environ, start_response: re.match(r"(a|aa)+$", "a" * 60 + "b")), "/slow")
    """,
        status=1,
    )
    assert log == []


def test_continuing_stream_is_not_interrupted():
    """A response may take any time while parts keep coming."""
    printed, log = run("""
    def parts():
        for number in range(6):
            time.sleep(0.2)
            yield b"x"
    print(len(ask(wrap(app(parts), "1")).body))
    """)
    assert (printed, log) == (["6"], [])


def test_slow_client_is_not_counted():
    """Time spent waiting for a slow client between two parts is not counted."""
    printed, log = run("""
    body = wrap(app(lambda: iter([b"1", b"2"])))({"REQUEST_METHOD": "GET", "PATH_INFO": "/"}, lambda *a: None)
    for part in body:
        time.sleep(0.15)
        print(part)
    """)
    assert (printed, log) == (["b'1'", "b'2'"], [])


def test_stuck_stream_is_interrupted():
    """A response that is stuck between two parts ends with an exception for the server, and its stack is logged."""
    printed, log = run("""
    def parts():
        yield b"1"
        spin_in_python()
    try:
        ask(wrap(app(parts)))
    except TimeoutError as error:
        print(error)
    """)
    assert len(printed) == 1 and "within REQUEST_TIMEOUT" in printed[0]
    assert "spin_in_python" in log[0]["traceback"]


def test_stuck_close_is_interrupted():
    """Code that the app runs after its response, in close(), is interrupted too."""
    printed, log = run("""
    request_timeout.EXIT_DELAY = 0.5
    class Body:
        def __iter__(self):
            return iter([b"1"])
        def close(self):
            spin_in_python(3)
    began = time.monotonic()
    try:
        ask(wrap(app(Body)))
    except BaseException:
        pass
    print(time.monotonic() - began)
    """)
    assert float(printed[0]) < 1.5


def test_close_is_called_once():
    """The body's close() is called once."""
    printed, _ = run("""
    class Body:
        def __iter__(self):
            return iter([b"1"])
        def close(self):
            print("closed")
    ask(wrap(app(Body)))
    """)
    assert printed == ["closed"]


def test_no_thread_before_the_first_request():
    """Each worker process starts its own watchdog with its first request: a thread from before the fork would be
    lost.
    """
    printed, _ = run("""
    import os
    names = lambda: sorted(thread.name for thread in threading.enumerate())
    wrapped = wrap(text(), "30")
    print(names(), flush=True)
    if os.fork() == 0:
        ask(wrapped)
        ask(wrapped)
        print(names(), flush=True)
        os._exit(0)
    os.wait()
    ask(wrapped)
    print(names())
    """)
    assert printed == ["['MainThread']", "['MainThread', 'request-timeout']", "['MainThread', 'request-timeout']"]


def test_app_can_fork():
    """A process that the app forks while the watchdog runs gets a watchdog of its own, and can exit."""
    printed, _ = run("""
    import os, warnings
    warnings.simplefilter("ignore")
    wrapped = wrap(text(), "30")
    ask(wrapped)
    time.sleep(0.1)
    child = os.fork()
    if child == 0:
        ask(wrapped)
        sys.exit(sum(thread.name == "request-timeout" for thread in threading.enumerate()))
    end = time.monotonic() + 2
    done = 0
    while not done and time.monotonic() < end:
        time.sleep(0.01)
        done, status = os.waitpid(child, os.WNOHANG)
    if not done:
        os.kill(child, 9)
        os.wait()
    print(bool(done), os.waitstatus_to_exitcode(status))
    """)
    assert printed == ["True 1"]


def test_finished_request_never_gets_the_exception():
    """Of thousands of requests that finish just at the timeout, none gets the exception after it has finished."""
    printed, _ = run("""
    import random
    request_timeout.TICK = 0.0001
    request_timeout.log.disabled = True
    sys.setswitchinterval(1e-5)
    raise_in = request_timeout._raise_in
    def raise_later(thread, exception):
        if exception:
            time.sleep(0.0005)  # the watchdog loses the CPU between its check and the exception
        raise_in(thread, exception)
    request_timeout._raise_in = raise_later
    def busy(environ, start_response):
        spin_in_python(random.uniform(0.001, 0.006))
        return text()(environ, start_response)
    wrapped = wrap(busy, "0.002")
    statuses, late = [], []
    end = time.monotonic() + 0.6
    def serve():
        while time.monotonic() < end:
            try:
                statuses.append(ask(wrapped).status[:3])
                spin_in_python(0.001)  # the work of the server between two requests
            except BaseException as error:
                late.append(repr(error))
    threads = [threading.Thread(target=serve) for _ in range(4)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    print(len(late), late[:3], sorted(set(statuses)), len(statuses), file=sys.stderr)
    print(len(late), sorted(set(statuses)))
    """)
    assert printed == ["0 ['200', '504']"]
