"""Print the CPU time in µs of one call of the WSGI callable: the cost of a request without any server.

python3 call_in_process.py PATH SECONDS
"""

import io
import sys
import time

from reference_app import application

path, seconds = sys.argv[1], float(sys.argv[2])


def call():
    """Call the WSGI callable once and read its whole response."""
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
    response = application(environ, lambda status, headers, exc_info=None: None)
    b"".join(response)
    if hasattr(response, "close"):
        response.close()


def cpu_per_call(duration: float) -> float:
    """Call repeatedly until `duration` seconds of CPU are used. Return the CPU seconds per call."""
    began, calls = time.process_time(), 0
    while time.process_time() - began < duration:
        call()
        calls += 1
    return (time.process_time() - began) / calls


cpu_per_call(seconds / 5)  # warm-up: imports, caches
print(cpu_per_call(seconds) * 1e6)
