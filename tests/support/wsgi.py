"""Helpers for the tests of deploy/: settings, requests without a server, and Python in a process of its own."""

import io
import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType

from deploy.settings import ROOT, load_settings

# An environment without settings, in which Python leaves no __pycache__ in the repository.
CLEAN = {
    "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",  # the servers are installed beside the interpreter
    "PYTHONPYCACHEPREFIX": f"{tempfile.gettempdir()}/tripod-pycache",
}


def settings(**environ: str) -> dict[str, str]:
    """The default settings, with some replaced."""
    return load_settings(environ)


def script(path: str) -> ModuleType:
    """Import a script without the suffix .py as a module."""
    name = path.replace("/", "_") + "_script"
    module = module_from_spec(spec_from_loader(name, SourceFileLoader(name, str(ROOT / path))))
    module.__loader__.exec_module(module)
    return module


@dataclass
class Answer:
    """A response as the client sees it."""

    status: str = ""
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def __getitem__(self, name: str) -> str:
        (value,) = self.all(name)
        return value


def environment(path: str = "/", method: str = "GET", body: bytes = b"", **more) -> dict:
    """The environ that a server creates for a request. `more` sets further keys; None removes a key."""
    environ = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": "",
        "SERVER_NAME": "unix",
        "SERVER_PORT": "",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "",
        "HTTP_HOST": "example.com",
        "CONTENT_LENGTH": str(len(body)) if body else "",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    return {key: value for key, value in (environ | more).items() if value is not None}


def ask(app, path: str = "/", method: str = "GET", body: bytes = b"", **more) -> Answer:
    """Call the app as a server does: start_response, every part of the body, and close() in any case."""
    return call(app, environment(path, method, body, **more))


def call(app, environ: dict) -> Answer:
    """Like ask(), with the environ of the test."""
    answer, sent = Answer(), bytearray()

    def start(status, headers, exc_info=None):
        if exc_info and sent:
            raise exc_info[1].with_traceback(exc_info[2])
        assert exc_info or not answer.status, "start_response was called twice"
        answer.status, answer.headers = status, list(headers)
        return sent.extend

    parts = app(environ, start)
    try:
        for part in parts:
            assert answer.status, "the app sent a part of the body before start_response"
            sent.extend(part)
    finally:
        if hasattr(parts, "close"):
            parts.close()
    answer.body = bytes(sent)
    return answer


def echo(environ, start_response):
    """An app that answers with the environ and the body that it has received."""
    seen = {key: value for key, value in environ.items() if isinstance(value, str)}
    body = json.dumps(seen | {"body": environ["wsgi.input"].read().decode("latin-1")}).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]


def seen(app, *args, **more) -> dict:
    """The environ that `echo`, wrapped in `app`, has received."""
    answer = ask(app, *args, **more)
    assert answer.status == "200 OK", answer
    return json.loads(answer.body)


def text(status: str = "200 OK", *parts: bytes, headers=()):
    """An app that answers every request with the same response."""

    def app(environ, start_response):
        start_response(status, [("Content-Type", "text/plain"), *headers])
        return list(parts)

    return app


def python(code: str, *arguments: str, **environ: str) -> subprocess.CompletedProcess:
    """Run code in a process of its own, because it would change this one."""
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        env={**CLEAN, "PYTHONPATH": str(ROOT), **environ},
    )
