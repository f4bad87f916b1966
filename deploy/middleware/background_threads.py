"""Threads that a request starts are finished before the process stops, within SHUTDOWN_GRACE.

Python waits for threads at the end of a process unless they are daemons, and a new thread is a daemon if its creator is
one. The request threads are: those of Gunicorn's worker.py because a stuck request must not delay the stop, those of
uWSGI and mod_wsgi because Python did not create them. With a daemon of its own, an app asks not to be waited for:
https://docs.python.org/3/library/threading.html#threading.Thread.daemon
"""

import threading


def wrap(app, settings):
    def with_waited_threads(environ, start_response):
        # Inherited by new threads, without an effect on this one. The public attribute cannot be set once it runs.
        threading.current_thread()._daemonic = False
        return app(environ, start_response)

    return with_waited_threads
