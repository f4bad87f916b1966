"""End a request that is stuck for longer than REQUEST_TIMEOUT, on every server alike.

The servers' own timeouts differ: Gunicorn's `timeout` is a heartbeat that continues while a thread of gthread is stuck,
uWSGI's harakiri includes the whole time of a long download, and mod_wsgi averages over its threads. Instead, a watchdog
in each worker process takes three steps, all before Nginx's own timeout (REQUEST_TIMEOUT + 5 s,
nginx/settings.conf.template):

    REQUEST_TIMEOUT       It raises an exception in the stuck thread. The client gets 504, and the stack is logged.
    REQUEST_TIMEOUT + 1   The thread is stuck in C code: the worker process exits, and the server starts a new one.
    REQUEST_TIMEOUT + 3   C code holds the GIL, so that the watchdog itself is stuck: the thread of faulthandler, which
                          does not need the GIL, ends the process.

A request is stuck if the app works for that time without returning a part of its response. Time spent waiting for a
slow client is not counted, and a stream may last as long as parts keep coming.

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

from deploy import descriptors, heartbeat, logs
from deploy.middleware.plain_response import plain_response

log = logs.get_logger("deploy.request_timeout")

TICK = 0.5  # seconds between two checks of the watchdog
EXIT_DELAY = 1  # seconds from the exception to the exit of the process
FAULTHANDLER_DELAY = 3


class RequestTimeout(BaseException):
    """Raised in a stuck thread; not an Exception, so that `except Exception` in an app does not catch it."""


class _Watchdog:
    """Checks the threads that run the app; one for each process."""

    def __init__(self, settings: Mapping[str, str]):
        self.timeout = float(settings["REQUEST_TIMEOUT"])
        self._settings = settings
        self._has_progressed = False  # whether a thread has returned from the app since the last check
        self.running: dict[int, tuple[float, str]] = {}  # thread → start of the app's work, label of the request
        self.interrupted: set[int] = set()
        self._lock = threading.Lock()
        self._is_watching = False
        # A fork copies no thread, but the lock that faulthandler's thread holds, and the child could never end.
        os.register_at_fork(before=self._before_fork, after_in_parent=self._after_fork, after_in_child=self._in_child)

    def enter(self, label: str) -> None:
        """Start the clock of this thread: it calls the app."""
        if not self._is_watching:
            self._start()
        self.running[threading.get_ident()] = (time.monotonic(), label)

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
            if has_progressed:
                heartbeat.beat(self._settings)
                descriptors.restart_when_exhausted()
            self._check(time.monotonic())

    def _check(self, now: float) -> None:
        for thread, (began, label) in list(self.running.items()):
            if now - began > self.timeout + EXIT_DELAY:
                log.critical("%s is stuck and cannot be interrupted: this worker process is restarted", label)
                os._exit(1)
            if now - began > self.timeout and thread not in self.interrupted:
                self._interrupt(thread, began, label)

    def _interrupt(self, thread: int, began: float, label: str) -> None:
        frame = sys._current_frames().get(thread)
        stack = "".join(traceback.format_stack(frame)) if frame else ""
        log.error("%s is stuck for %s s: it is interrupted", label, self.timeout, extra={"traceback": stack})
        with self._lock:
            if self.running.get(thread, (None,))[0] == began:
                self.interrupted.add(thread)
                _raise_in(thread, RequestTimeout)


def _raise_in(thread: int, exception: type[BaseException] | None) -> None:
    """Raise the exception in another thread at its next bytecode; None cancels an exception that is still pending."""
    argument = ctypes.py_object(exception) if exception else None
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), argument)


class _WatchedBody:
    """The response body; the clock runs only while the app produces a part."""

    def __init__(self, parts, watchdog, label):
        self._parts, self._next = parts, iter(parts).__next__
        self._watchdog, self._label = watchdog, label

    def __iter__(self):
        return self

    def _watched(self, call):
        self._watchdog.enter(self._label)
        try:
            try:
                return call()
            finally:
                self._watchdog.leave()
        except RequestTimeout:
            self._watchdog.leave()
            raise TimeoutError(f"{self._label}: no further part of the response within REQUEST_TIMEOUT") from None

    def __next__(self):
        return self._watched(self._next)

    def close(self):
        if hasattr(self._parts, "close"):
            self._watched(self._parts.close)


def wrap(app, settings):
    watchdog = _Watchdog(settings)

    def with_timeout(environ, start_response):
        if "HTTP_UPGRADE" in environ:  # an open WebSocket is not stuck; normalize.py drops every other Upgrade
            return app(environ, start_response)
        label = f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']} ({environ.get('HTTP_X_REQUEST_ID', '-')})"
        watchdog.enter(label)
        try:
            try:
                parts = app(environ, start_response)
            finally:
                watchdog.leave()
        except RequestTimeout:  # may be raised in leave() itself, which can be called twice
            watchdog.leave()
            return plain_response(start_response, "504 Gateway Timeout", exc_info=sys.exc_info())
        return parts if isinstance(parts, (list, tuple)) else _WatchedBody(parts, watchdog, label)

    return with_timeout
