"""End a request that is stuck for longer than REQUEST_TIMEOUT, on every server alike.

The servers' own timeouts differ: Gunicorn's `timeout` is a heartbeat that continues while a thread of gthread is stuck,
uWSGI's harakiri includes the whole time of a long download, and mod_wsgi averages over its threads. Instead, a watchdog
in each worker process takes these steps, which begin before Nginx's own timeout (nginx/settings.conf.template):

    REQUEST_TIMEOUT       It raises an exception in the stuck thread. The client gets 504, and the stack is logged.
    REQUEST_TIMEOUT + 1   The thread is stuck in C code: the worker process accepts no further requests. It exits when
                          its other requests are finished, at the latest after SHUTDOWN_GRACE. The server starts a new
                          one, and Nginx answers the stuck request with 504.
    REQUEST_TIMEOUT + 3   C code holds the GIL, so that the watchdog itself is stuck: the thread of faulthandler, which
                          does not need the GIL, ends the process.

A request is stuck if the app works for that time without returning a part of its response. Time spent waiting for a
slow client is not counted, and a stream may last as long as parts keep coming. Between two events of a stream of
server-sent events (text/event-stream) STREAM_TIMEOUT applies instead.

The watchdog also maintains the server's heartbeat (deploy/heartbeat.py), by which deploy/health tells a busy server
from a dead one, and restarts a process that is about to run out of file descriptors (deploy/descriptors.py).
"""

import ctypes
import faulthandler
import os
import sys
import threading
import time
import traceback
from collections.abc import Mapping

from deploy import descriptors, heartbeat, logs, worker_process
from deploy.middleware.plain_response import plain_response

log = logs.get_logger("deploy.request_timeout")

TICK = 0.5  # seconds between two checks of the watchdog
EXIT_DELAY = 1  # seconds from the exception to the replacement of the process
# Seconds after SIGTERM in which a thread may still accept a request: STOP_INTERVAL of Gunicorn's worker class
# (deploy/servers/gunicorn/worker.py), and the time until the request reaches the app.
ACCEPT_DELAY = 2
FAULTHANDLER_DELAY = 3


class RequestTimeout(BaseException):
    """Raised in a stuck thread; not an Exception, so that `except Exception` in an app does not catch it."""


class _Watchdog:
    """Checks the threads that run the app; one for each process."""

    def __init__(self, settings: Mapping[str, str]):
        self.timeout = float(settings["REQUEST_TIMEOUT"])
        self.stream_timeout = float(settings["STREAM_TIMEOUT"])
        self._grace = float(settings["SHUTDOWN_GRACE"])
        self._threads = int(settings["WEB_THREADS"])
        self._settings = settings
        self._drain_began = 0.0  # when this process has stopped accepting requests; 0 as long as it accepts them
        self._has_progressed = False  # whether a thread has returned from the app since the last check
        self.in_flight: set[int] = set()  # threads from the call of the app to the end of its response
        self.running: dict[int, tuple[float, _Request]] = {}  # thread → start of the app's work, its request
        self.interrupted: set[int] = set()
        self._lock = threading.Lock()
        self._is_watching = False
        # A fork copies no thread, but the lock that faulthandler's thread holds, and the child could never end.
        os.register_at_fork(before=self._before_fork, after_in_parent=self._after_fork, after_in_child=self._in_child)

    def enter(self, request: "_Request") -> None:
        """Start the clock of this thread: it calls the app."""
        if not self._is_watching:
            self._start()
        self.running[threading.get_ident()] = (time.monotonic(), request)

    def leave(self) -> None:
        """Stop the clock of this thread. The lock prevents an exception in a thread that has just returned."""
        thread = threading.get_ident()
        with self._lock:
            self.running.pop(thread, None)
            self._has_progressed = True
            if thread in self.interrupted:
                self.interrupted.discard(thread)
                _raise_in(thread, None)

    def _before_fork(self) -> None:
        self._lock.acquire()
        faulthandler.cancel_dump_traceback_later()

    def _after_fork(self) -> None:
        self._lock.release()

    def _in_child(self) -> None:
        self._is_watching = False
        self._lock.release()

    def _start(self) -> None:
        with self._lock:
            if self._is_watching:
                return
            self.running.clear()
            self.in_flight.intersection_update({threading.get_ident()})  # without those of the process that has forked
            self._postpone_faulthandler()
            threading.Thread(target=self._watch, name="request-timeout", daemon=True).start()
            self._is_watching = True

    def _postpone_faulthandler(self) -> None:
        """Restart the timer of the last step, which expires if the watchdog is stuck. Requires the lock."""
        delay = self.timeout + FAULTHANDLER_DELAY
        faulthandler.dump_traceback_later(delay, exit=True, file=2)

    def _watch(self) -> None:
        while True:
            time.sleep(TICK)
            with self._lock:
                self._postpone_faulthandler()
                has_progressed, self._has_progressed = self._has_progressed, False
            if has_progressed or self._is_sending_only():
                heartbeat.beat(self._settings)
            if has_progressed:
                descriptors.restart_when_exhausted()
            self._check(time.monotonic())

    def _is_sending_only(self) -> bool:
        """Whether each thread sends a response to a slow client: the server is busy, although it answers nobody."""
        return len(self.in_flight - self.running.keys()) >= self._threads

    def _check(self, now: float) -> None:
        stuck = {}
        for thread, (began, request) in list(self.running.items()):
            if now - began > request.timeout + EXIT_DELAY:
                stuck[thread] = request
            elif now - began > request.timeout and thread not in self.interrupted:
                self._interrupt(thread, began, request)
        if stuck and not self._drain_began:
            self._drain(now, stuck)
        if self._drain_began and self._is_drained(now, stuck):
            os._exit(1)

    def _drain(self, now: float, stuck: dict[int, "_Request"]) -> None:
        """Stop accepting requests. Each server does so after SIGTERM to a worker process, and replaces the process.

        os.kill() keeps the GIL. So the thread that handles the signal does not hold it, which matters for uWSGI: its
        handler waits for the other threads, and they need the GIL to finish their requests.
        """
        for request in stuck.values():
            log.critical("%s is stuck and cannot be interrupted: this worker process is restarted", request.label)
        self._drain_began = now
        if len(stuck) < self._threads:
            worker_process.stop_accepting()

    def _is_drained(self, now: float, stuck: dict[int, "_Request"]) -> bool:
        seconds = now - self._drain_began
        if len(stuck) >= self._threads or seconds > self._grace:
            return True
        return seconds > ACCEPT_DELAY and self.in_flight <= stuck.keys()

    def _interrupt(self, thread: int, began: float, request: "_Request") -> None:
        frame = sys._current_frames().get(thread)
        stack = "".join(traceback.format_stack(frame)) if frame else ""
        message = "%s is stuck for %s s: it is interrupted"
        log.error(message, request.label, request.timeout, extra={"traceback": stack})
        with self._lock:
            if self.running.get(thread, (None,))[0] == began:
                self.interrupted.add(thread)
                _raise_in(thread, RequestTimeout)


def _raise_in(thread: int, exception: type[BaseException] | None) -> None:
    """Raise the exception in another thread at its next bytecode; None cancels an exception that is still pending."""
    argument = ctypes.py_object(exception) if exception else None
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), argument)


class _Request:
    """A request in the app: its label in the log, and the seconds after which it is stuck."""

    def __init__(self, environ, start_response, watchdog):
        self.label = f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']} ({environ.get('HTTP_X_REQUEST_ID', '-')})"
        self.timeout, self.is_event_stream = watchdog.timeout, False
        self._start_response, self._stream_timeout = start_response, watchdog.stream_timeout

    def start_response(self, status, headers, exc_info=None):
        """Pass the response head on; server-sent events have a timeout of their own."""
        if any(name.lower() == "content-type" and _is_event_stream(value) for name, value in headers):
            self.timeout, self.is_event_stream = self._stream_timeout, True
        return self._start_response(status, headers, exc_info)


def _is_event_stream(content_type: str) -> bool:
    return content_type.partition(";")[0].strip().lower() == "text/event-stream"


class _Body:
    """The response body; the request is in flight until it is closed."""

    def __init__(self, parts, watchdog):
        self._parts, self._watchdog = parts, watchdog

    def __iter__(self):
        return iter(self._parts)

    def close(self):
        self._watchdog.in_flight.discard(threading.get_ident())


class _WatchedBody(_Body):
    """A body that the app produces part by part; the clock runs only while it produces one."""

    def __init__(self, parts, watchdog, request):
        super().__init__(parts, watchdog)
        self._request, self._next = request, iter(parts).__next__

    def __iter__(self):
        return self

    def _watched(self, call):
        self._watchdog.enter(self._request)
        try:
            try:
                return call()
            finally:
                self._watchdog.leave()
        except RequestTimeout:
            self._watchdog.leave()
            limit = "STREAM_TIMEOUT" if self._request.is_event_stream else "REQUEST_TIMEOUT"
            raise TimeoutError(f"{self._request.label}: no further part of the response within {limit}") from None

    def __next__(self):
        return self._watched(self._next)

    def close(self):
        try:
            if hasattr(self._parts, "close"):
                self._watched(self._parts.close)
        finally:
            super().close()


def wrap(app, settings):
    watchdog = _Watchdog(settings)

    def with_timeout(environ, start_response):
        if "HTTP_UPGRADE" in environ:  # an open WebSocket is not stuck; normalize.py drops every other Upgrade
            return app(environ, start_response)
        request = _Request(environ, start_response, watchdog)
        watchdog.in_flight.add(threading.get_ident())
        watchdog.enter(request)
        try:
            try:
                parts = app(environ, request.start_response)
            finally:
                watchdog.leave()
            return (
                _Body(parts, watchdog) if isinstance(parts, (list, tuple)) else _WatchedBody(parts, watchdog, request)
            )
        except RequestTimeout:  # may be raised in leave() itself, which can be called twice
            watchdog.leave()
            response = plain_response(start_response, "504 Gateway Timeout", exc_info=sys.exc_info())
            return _Body(response, watchdog)
        except BaseException:
            watchdog.in_flight.discard(threading.get_ident())
            raise

    return with_timeout
