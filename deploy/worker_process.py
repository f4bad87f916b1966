"""Ask the server to replace this worker process."""

import os
import signal

is_stopping = False  # whether the process itself, and not its server, has asked for its end


def stop_accepting() -> None:
    """Let this process finish its in-flight requests and exit; its server replaces it.

    All three servers do so when a worker process gets SIGTERM. deploy/servers/gunicorn/worker.py reads is_stopping,
    since a worker process that stops alone leaves the waiting requests to the others.
    """
    global is_stopping
    is_stopping = True
    os.kill(os.getpid(), signal.SIGTERM)
