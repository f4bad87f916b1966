"""Prints the CPU in µs of one call of the WSGI callable, in process: what is left when nothing is around the app.

python3 bare.py PATH SECONDS
"""

import io
import sys
import time

from others_app import application

path, seconds = sys.argv[1], float(sys.argv[2])


def call():
    environ = {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": "",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": "localhost",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": False,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    parts = application(environ, lambda status, headers, exc_info=None: None)
    b"".join(parts)
    if hasattr(parts, "close"):
        parts.close()


def cpu_of_calls(during: float) -> float:
    """CPU seconds of each call, over so many seconds of CPU."""
    began, calls = time.process_time(), 0
    while time.process_time() - began < during:
        call()
        calls += 1
    return (time.process_time() - began) / calls


cpu_of_calls(seconds / 5)  # warm
print(cpu_of_calls(seconds) * 1e6)
