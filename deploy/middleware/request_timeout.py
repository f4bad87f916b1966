"""A request stuck for longer than REQUEST_TIMEOUT is ended, on every server alike.

The servers' own means differ too much to be relied on: Gunicorn's `timeout` is a heartbeat that a stuck thread of
gthread never misses, uWSGI's harakiri counts the whole of a long download, mod_wsgi averages over threads. So a
watchdog in each worker process does it, in three steps, each a little later than the one before and all before Nginx
gives up (REQUEST_TIMEOUT + 5 s, nginx/settings.conf.template):

    REQUEST_TIMEOUT       an exception is raised in the stuck thread; the client gets 504 and the log the stack
    REQUEST_TIMEOUT + 1   the thread is stuck in C code: the worker process ends, the server starts a new one
    REQUEST_TIMEOUT + 3   even the watchdog is stuck, since C code holds the GIL for so long: faulthandler's own thread
                          ends the process

Stuck means that the app is at work all that time without handing over a part of its response: time in which a slow
client reads does not count, and a stream may go on for as long as parts keep coming.

What the watchdog sees go on is the server's heartbeat (heartbeat.py), by which deploy/health tells busy from dead. With
it goes the question whether the process can still work at all (deploy/descriptors.py).
"""

import ctypes
import faulthandler
import logging
import os
import sys
import threading
import time
import traceback
from collections.abc import Mapping

from deploy import descriptors, heartbeat, logs
from deploy.middleware.plain_response import plain_response

log = logging.getLogger("deploy.request_timeout")

TICK = 0.5  # seconds between two looks of the watchdog
TO_EXIT = 1  # seconds from the exception to the end of the process
TO_FAULTHANDLER = 3


class RequestTimeout(BaseException):
    """Raised by the watchdog in a stuck thread; no Exception, so that `except Exception` in an app can't swallow it."""


class _Watchdog:
    """Looks at the threads that are inside the app; one for each process."""

    def __init__(self, settings: Mapping[str, str]):
        self.timeout = float(settings["REQUEST_TIMEOUT"])
        self._settings = settings
        self._moved = False  # whether a thread has left the app since the last look
        self.inside: dict[int, tuple[float, str]] = {}  # thread → when its app code began, what it is doing
        self.ended: set[int] = set()
        self._lock = threading.Lock()
        self._watching = False
        # No thread survives a fork, but what faulthandler's holds does, and the child could never end.
        os.register_at_fork(before=self._before_fork, after_in_parent=self._after_fork, after_in_child=self._in_child)

    def enter(self, label: str) -> None:
        if not self._watching:
            self._start()
        self.inside[threading.get_ident()] = (time.monotonic(), label)

    def leave(self) -> None:
        """Under the lock, so that the exception can't be raised in a thread that has just gone on."""
        thread = threading.get_ident()
        with self._lock:
            self.inside.pop(thread, None)
            self._moved = True
            if thread in self.ended:
                self.ended.discard(thread)
                _raise_in(thread, None)

    def _before_fork(self) -> None:
        self._lock.acquire()
        faulthandler.cancel_dump_traceback_later()

    def _after_fork(self) -> None:
        self._lock.release()

    def _in_child(self) -> None:
        self._watching = False
        self._lock.release()

    def _start(self) -> None:
        with self._lock:
            if self._watching:
                return
            self.inside.clear()
            self._arm()
            threading.Thread(target=self._watch, name="deadline", daemon=True).start()
            self._watching = True

    def _arm(self) -> None:
        """Sets the last resort anew: it strikes when this has not been done for so long. Call under the lock."""
        last_resort = self.timeout + TO_FAULTHANDLER
        faulthandler.dump_traceback_later(last_resort, exit=True, file=logs.log_file_descriptor())

    def _watch(self) -> None:
        while True:
            time.sleep(TICK)
            with self._lock:
                self._arm()
                moved, self._moved = self._moved, False
            if moved:
                heartbeat.beat(self._settings)
                descriptors.restart_when_exhausted()
            self._look(time.monotonic())

    def _look(self, now: float) -> None:
        for thread, (began, label) in list(self.inside.items()):
            if now - began > self.timeout + TO_EXIT:
                log.critical("%s cannot be ended, this worker process is replaced", label)
                os._exit(1)
            if now - began > self.timeout and thread not in self.ended:
                self._end(thread, began, label)

    def _end(self, thread: int, began: float, label: str) -> None:
        frame = sys._current_frames().get(thread)
        stack = "".join(traceback.format_stack(frame)) if frame else ""
        log.error("%s is stuck for %s s and is ended", label, self.timeout, extra={"traceback": stack})
        with self._lock:
            if self.inside.get(thread, (None,))[0] == began:
                self.ended.add(thread)
                _raise_in(thread, RequestTimeout)


def _raise_in(thread: int, exception: type[BaseException] | None) -> None:
    """Raises the exception in another thread at its next byte code; None takes back one that is still pending."""
    given = ctypes.py_object(exception) if exception else None
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), given)


class _Watched:
    """The response's parts; the clock runs only while the app makes one."""

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
            raise TimeoutError(f"{self._label}: no further part of the response within the deadline") from None

    def __next__(self):
        return self._watched(self._next)

    def close(self):
        if hasattr(self._parts, "close"):
            self._watched(self._parts.close)


def wrap(app, settings):
    watchdog = _Watchdog(settings)

    def with_deadline(environ, start_response):
        label = f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']} ({environ.get('HTTP_X_REQUEST_ID', '-')})"
        watchdog.enter(label)
        try:
            try:
                parts = app(environ, start_response)
            finally:
                watchdog.leave()
        except RequestTimeout:  # possibly raised inside leave() itself, which may be called twice
            watchdog.leave()
            return plain_response(start_response, "504 Gateway Timeout", exc_info=sys.exc_info())
        return parts if isinstance(parts, (list, tuple)) else _Watched(parts, watchdog, label)

    return with_deadline
