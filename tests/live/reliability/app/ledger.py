"""The custom app for the reliability tests: a WSGI app without a framework that records every POST in a ledger.

The tests also release bad versions of it, with another BEHAVIOUR.
"""

import hashlib
import hmac
import json
import os
import signal
import threading
import time

BEHAVIOUR = "good"  # or: never ready, answers 500, does not import, server dies, workers die, fails with clients
DIES_AFTER = 3  # seconds

SECRET = os.environ["SECRET_KEY"].encode()
LEDGER = os.path.join(os.environ["STATE_DIRECTORY"], "ledger")

if BEHAVIOUR == "does not import":
    raise ImportError("this release cannot be imported")
if BEHAVIOUR == "server dies":
    threading.Timer(DIES_AFTER, os.kill, (1, signal.SIGTERM)).start()
if BEHAVIOUR == "workers die":
    threading.Timer(DIES_AFTER, os._exit, (3,)).start()


def _front(environ, rest):
    return {"front": "page"}


def _ready(environ, rest):
    return {"ready": True} if BEHAVIOUR != "never ready" else None


def _page(environ, rest):
    """Requested by clients alone, so what begins here shows only after the handover."""
    if BEHAVIOUR == "fails with clients":
        ROUTES[""] = lambda environ, rest: None
    return {"page": rest}


def _crash(environ, rest):
    os._exit(1)


def _sleep(environ, rest):
    time.sleep(float(rest))
    return {"slept": rest}


def _ledger(environ, rest):
    """Append one line to the ledger, in a single write, and acknowledge the POST with the digest of its body."""
    body = environ["wsgi.input"].read()
    digest = hashlib.sha256(body).hexdigest()
    file = os.open(LEDGER, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(file, f"{rest} {digest}\n".encode())
    finally:
        os.close(file)
    return {"id": rest, "sha256": digest}


def _session(environ, rest):
    """Count in a cookie signed with SECRET_KEY. Return None if another key has signed it."""
    count, _, signature = environ.get("HTTP_COOKIE", "").removeprefix("count=").partition(".")
    if count and not hmac.compare_digest(signature, _signed(count)):
        return None
    return {"count": int(count or 0) + 1}


def _signed(text):
    return hmac.new(SECRET, text.encode(), "sha256").hexdigest()


def _stream(start_response):
    """Stream ten parts of 10 kB within 1 s."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    for number in range(10):
        time.sleep(0.1)
        yield b"%d" % number * 10_000


ROUTES = {
    "": _front,
    "ready": _ready,
    "page": _page,
    "sleep": _sleep,
    "crash": _crash,
    "ledger": _ledger,
    "session": _session,
}


def application(environ, start_response):
    route, _, rest = environ["PATH_INFO"].lstrip("/").partition("/")
    if route == "stream":
        return _stream(start_response)
    answer = ROUTES[route](environ, rest)
    bad = answer is None or BEHAVIOUR == "answers 500" and route != "ready"
    body = json.dumps(answer).encode()
    headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
    if route == "session" and not bad:
        count = str(answer["count"])
        headers.append(("Set-Cookie", f"count={count}.{_signed(count)}; Path=/"))
    start_response("500 Bad" if bad else "200 OK", headers)
    return [body]
