"""Threads and processes that a request starts behave as in a Python program of its own.

Threads are finished before the process stops, within SHUTDOWN_GRACE.

Python waits for threads at the end of a process unless they are daemons, and a new thread is a daemon if its creator is
one. The request threads are: those of Gunicorn's worker.py because a stuck request must not delay the stop, those of
uWSGI and mod_wsgi because Python did not create them. With a daemon of its own, an app asks not to be waited for:
https://docs.python.org/3/library/threading.html#threading.Thread.daemon

Processes can be ended. uWSGI blocks all signals in all of its threads but one, and a process inherits what is blocked
in the thread that starts it: it would ignore SIGTERM, and multiprocessing's fork server would wait for SIGCHLD forever.
The kernel still delivers the signals of the worker process to its main thread, which handles them.
https://man7.org/linux/man-pages/man7/signal.7.html
"""

import signal
import threading


def wrap(app, settings):
    def with_waited_threads(environ, start_response):
        thread = threading.current_thread()
        if thread.daemon:  # before its first request
            # Inherited by new threads, without an effect on this one. The public attribute cannot be set once it runs.
            thread._daemonic = False
            signal.pthread_sigmask(signal.SIG_SETMASK, ())
        return app(environ, start_response)

    return with_waited_threads
