"""A WSGI app without any framework that shows what reaches an app, and misbehaves on request."""

import json
import time


def _echo(environ) -> bytes:
    print("printed by the app")
    shown = {name: value for name, value in environ.items() if isinstance(value, str | bool | tuple)}
    return json.dumps(shown).encode()


def _sleep(environ) -> bytes:
    print(f"at work on {environ['PATH_INFO']}")
    time.sleep(float(environ["PATH_INFO"].rpartition("/")[2]))
    return b'"slept"'


def _spin(environ) -> bytes:
    while True:
        pass


def _refuse(environ) -> bytes:
    """Answers without reading the request's body."""
    return b'"refused"'


def _broken(environ) -> bytes:
    raise RuntimeError("this app always raises")


ROUTES = {"echo": _echo, "sleep": _sleep, "spin": _spin, "refuse": _refuse, "broken": _broken}


def application(environ, start_response):
    body = ROUTES.get(environ["PATH_INFO"].split("/")[1], _echo)(environ)
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]


not_callable = "a string"
