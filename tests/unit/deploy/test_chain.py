"""deploy/middleware: request id, exceptions, liveness, and the whole chain."""

import asyncio
import json
import logging
import re
from contextlib import nullcontext
from wsgiref.validate import validator

import pytest

from deploy import logs, middleware
from deploy.middleware import errors, liveness, request_id, request_timeout
from deploy.middleware.framing import IncompleteResponse
from deploy.middleware.plain_response import plain_response
from deploy.settings import server_names
from tests.support.wsgi import Answer, ask, call, echo, environment, seen, settings, text


@pytest.fixture
def chain(monkeypatch):
    """Return a function that wraps an app in all middleware except request_timeout, which watches the whole process."""
    monkeypatch.setattr(request_timeout, "wrap", lambda app, settings: app)
    return lambda app, **environ: middleware.wrap(app, settings(**environ))


# --- request id ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "request_id_sent", ["a", "0af7651916cd43dd8448eb211c80319c", "Root=1-67891233-abcdef", "a" * 128]
)
def test_valid_id_is_kept(request_id_sent):
    """A valid id of the request is passed to the app, the log and the response."""
    answer = ask(request_id.wrap(echo, {}), HTTP_X_REQUEST_ID=request_id_sent)
    assert (
        json.loads(answer.body)["HTTP_X_REQUEST_ID"]
        == answer["X-Request-ID"]
        == logs.request_id.get()
        == request_id_sent
    )


@pytest.mark.parametrize(
    "request_id_sent", [None, "", "a b", "a\n", "a\r\nX: y", "<script>", '"', "é", "a" * 129, "${jndi}"]
)
def test_other_ids_are_replaced(request_id_sent):
    """A missing id, or an id that could break a log line, is replaced by a new one."""
    made = {ask(request_id.wrap(echo, {}), HTTP_X_REQUEST_ID=request_id_sent)["X-Request-ID"] for _ in range(3)}
    assert len(made) == 3
    assert all(re.fullmatch("[0-9a-f]{32}", identity) for identity in made)


def test_response_has_one_id():
    """The response has one X-Request-ID, even if the app sets another."""
    app = text("200 OK", headers=[("x-request-id", "of-the-app")])
    assert len(ask(request_id.wrap(app, {})).all("X-Request-ID")) == 1


# --- exceptions ---------------------------------------------------------------------------------------------


class RaisingBody:
    """A body that raises after some parts, and counts the calls of close()."""

    def __init__(self, *parts, start=None):
        self.parts, self.start, self.closed = iter(parts), start, 0

    def __iter__(self):
        return self

    def __next__(self):
        for part in self.parts:
            if self.start:
                self.start("200 OK", [])
                self.start = None
            return part
        raise LookupError("the app is broken")

    def close(self):
        self.closed += 1


def raising(environ, start_response):
    """An app that raises before start_response."""
    raise LookupError("the app is broken")


def raising_late(environ, start_response):
    """An app that raises after start_response."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    raise LookupError("the app is broken")


@pytest.mark.parametrize(
    "app", [raising, raising_late, lambda e, s: RaisingBody()], ids=["before", "after", "first part"]
)
def test_exception_before_the_first_byte_is_500(app, caplog):
    """An exception before the first byte results in 500 without its message, and in one log line."""
    answer = ask(errors.wrap(app, {}), "/some/path")
    assert answer.status == "500 Internal Server Error"
    assert b"broken" not in answer.body and answer["Cache-Control"] == "no-store"
    assert int(answer["Content-Length"]) == len(answer.body)
    (record,) = caplog.records
    assert record.levelno == logging.ERROR and "GET /some/path" in record.getMessage()
    assert record.exc_info[0] is LookupError


def test_exception_in_the_middle_ends_the_response(caplog):
    """An exception after the first part is logged once, the server learns that the body is incomplete, and the body is
    closed once.
    """
    bodies = []

    def app(environ, start_response):
        bodies.append(RaisingBody(b"one", b"two", start=start_response))
        return bodies[0]

    with pytest.raises(IncompleteResponse):
        ask(errors.wrap(app, {}))
    assert len(caplog.records) == bodies[0].closed == 1


NO_EXCEPTIONS = [SystemExit, KeyboardInterrupt, GeneratorExit, asyncio.CancelledError]


@pytest.mark.parametrize("kind", NO_EXCEPTIONS)
@pytest.mark.parametrize("place", ["view", "first part", "middle", "close"])
def test_exceptions_of_any_kind_never_reach_the_server(caplog, kind, place):
    """SystemExit and the like, which would end a process of uWSGI, are handled as any exception."""

    class Body:
        def __init__(self):
            self.number = 0

        def __iter__(self):
            return self

        def __next__(self):
            self.number += 1
            if self.number > 2:
                raise StopIteration
            if place == ("", "first part", "middle")[self.number]:
                raise kind
            return b"part"

        def close(self):
            if place == "close":
                raise kind

    def app(environ, start_response):
        start_response("200 OK", [])
        if place == "view":
            raise kind
        return Body()

    with pytest.raises(IncompleteResponse) if place == "middle" else nullcontext():
        assert ask(errors.wrap(app, {})).status[:3] == ("200" if place == "close" else "500")
    (record,) = caplog.records
    assert record.exc_info[0] is kind


def test_exception_after_an_empty_part_is_500(caplog):
    """An exception after parts without any byte results in 500: nothing has been sent."""

    def app(environ, start_response):
        start_response("200 OK", [])
        yield b""
        raise LookupError

    assert ask(errors.wrap(app, {})).status[:3] == "500"


@pytest.mark.parametrize("body", [["text"], "text", b"bytes", [bytearray(b"a")], None, [b"a", "text"]], ids=repr)
def test_body_of_another_type_is_an_error(caplog, body):
    """A body whose parts are not bytes is an error, where uWSGI would skip them."""

    def app(environ, start_response):
        start_response("200 OK", [])
        return body

    with pytest.raises(IncompleteResponse) if body == [b"a", "text"] else nullcontext():
        assert ask(errors.wrap(app, {})).status[:3] == "500"
    assert caplog.records[0].exc_info[0] is TypeError


def test_written_text_is_an_error(caplog):
    """write() accepts bytes only."""

    def app(environ, start_response):
        start_response("200 OK", [])("text")
        return []

    assert ask(errors.wrap(app, {})).status[:3] == "500"


def test_client_that_leaves_is_no_exception(caplog):
    """A body that the server does not read to its end, because the client has left, is closed without a log line."""
    closed = []

    def app(environ, start_response):
        start_response("200 OK", [])
        try:
            yield b"one"
            yield b"two"
        finally:
            closed.append(True)

    body = errors.wrap(app, {})(environment(), lambda *head: None)
    assert next(iter(body)) == b"one"
    body.close()
    assert closed and not caplog.records


def test_body_that_raises_at_once_is_closed(caplog):
    """A body that raises before its first part is closed once."""
    body = RaisingBody()
    ask(errors.wrap(lambda environ, start_response: body, {}))
    assert body.closed == 1


def test_body_is_passed_on_and_closed(caplog):
    """A body without exceptions is passed on unchanged, part by part, and closed once."""
    closed = []

    class Body:
        def __iter__(self):
            return iter([b"", b"one", b"two"])

        def close(self):
            closed.append(True)

    def app(environ, start_response):
        start_response("200 OK", [])
        return Body()

    assert ask(errors.wrap(app, {})).body == b"onetwo"
    assert closed == [True] and not caplog.records


@pytest.mark.parametrize("body", [[], (), iter(())], ids=["list", "tuple", "iterator"])
def test_empty_body_is_no_error(body, caplog):
    """A response without a body is no error."""

    def app(environ, start_response):
        start_response("204 No Content", [])
        return body

    assert ask(errors.wrap(app, {})) == Answer("204 No Content")
    assert not caplog.records


def test_plain_response_is_text_and_not_stored():
    """The middleware's own responses are text with a length, and caches do not store them."""

    def app(environ, start_response):
        return plain_response(start_response, "413 Request Entity Too Large")

    got = ask(app)
    assert (got.status, got["Content-Type"]) == ("413 Request Entity Too Large", "text/plain; charset=utf-8")
    assert (int(got["Content-Length"]), got["Cache-Control"]) == (len(got.body), "no-store")
    assert got["X-Content-Type-Options"] == "nosniff"


# --- liveness -------------------------------------------------------------------------------------------------

ALIVE = {"status": "ok", "wsgi_server": "uwsgi", "release": "v9"}
NAMES = {"WSGI_SERVER": "uwsgi", "RELEASE": "v9", "HEALTHZ_DETAILS": "on"}


@pytest.mark.parametrize("host", ["example.com", "10.0.0.7:8000", "evil.test", "[::1]"])
def test_liveness_answers_for_any_app_and_host(chain, host):
    """/healthz answers with server and release for any app and any valid Host."""
    app = chain(raising, ALLOWED_HOSTS="example.com", **NAMES)
    answer = ask(app, "/healthz", HTTP_HOST=host)
    assert (answer.status, json.loads(answer.body)) == ("200 OK", ALIVE)
    assert (answer["Content-Type"], answer["Cache-Control"]) == ("application/json", "no-store")
    assert answer["X-Request-ID"]


def test_liveness_hides_server_and_release():
    """With HEALTHZ_DETAILS=off no response header or body of /healthz differs between servers and releases."""
    answer = ask(liveness.wrap(raising, NAMES | {"HEALTHZ_DETAILS": "off"}), "/healthz")
    assert json.loads(answer.body) == {"status": "ok"}
    assert not {"uwsgi", "v9"} & set(" ".join(map(str, answer.headers)).split())


def test_liveness_head_has_no_body():
    """HEAD /healthz has the headers of GET, and no body."""
    app = liveness.wrap(raising, NAMES)
    answer = ask(app, "/healthz", "HEAD")
    assert answer.body == b""
    assert answer.headers == ask(app, "/healthz").headers


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/healthz"), ("DELETE", "/healthz"), ("GET", "/healthz/"), ("GET", "/"), ("GET", "")],
)
def test_other_requests_reach_the_app(method, path):
    """Other methods and paths are passed to the app."""
    assert seen(liveness.wrap(echo, NAMES), path, method)["REQUEST_METHOD"] == method


# --- the chain ----------------------------------------------------------------------------------------------


def test_every_file_is_in_the_chain():
    """Each module of deploy/middleware with a wrap() is part of the chain, once."""
    folder = next(iter(middleware.__path__))
    import pathlib

    files = {path.stem for path in pathlib.Path(folder).glob("*.py")} - {"__init__", "plain_response"}
    assert sorted(module.__name__.rpartition(".")[2] for module in middleware.ORDER) == sorted(files)


@pytest.mark.filterwarnings("ignore:Unknown REQUEST_METHOD")
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
@pytest.mark.parametrize("host", ["example.com", "other.test"])
@pytest.mark.parametrize("path", ["/", "/healthz", "/\x01"])
@pytest.mark.parametrize("server", server_names())
def test_chain_conforms_to_pep_3333(chain, server, method, path, host):
    """The chain is a valid WSGI app for the server and a valid WSGI server for the app, according to wsgiref."""
    app = validator(chain(validator(reading), ALLOWED_HOSTS="example.com", WSGI_SERVER=server))
    body = b"x" * 100 if method == "POST" else b""
    environ = environment(path, method, body, SERVER_PORT="80", HTTP_HOST=host)
    environ["CONTENT_LENGTH"] = str(len(body))
    answer = call(app, environ)
    assert answer.status[:3] in ("200", "400")


def reading(environ, start_response):
    """An app that reads its body by two methods and answers in parts; a generator, which has close()."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    if environ["REQUEST_METHOD"] == "HEAD":
        return
    yield environ["wsgi.input"].read(10)
    yield environ["wsgi.input"].readline(10)


def test_exception_of_the_app_is_500_with_an_id(chain, caplog):
    """An exception of the app results in 500 with the request id, and is logged once."""
    answer = ask(chain(raising), HTTP_X_REQUEST_ID="id-7")
    assert (answer.status[:3], answer["X-Request-ID"]) == ("500", "id-7")
    assert len(caplog.records) == 1


@pytest.mark.parametrize(
    ("app", "more", "status"),
    [
        (text(), {"HTTP_X_ANY": "a\x01b"}, "400"),
        (text(), {"PATH_INFO": "/\x01"}, "400"),
        (text(), {"HTTP_HOST": "evil.test"}, "400"),
        (raising, {}, "500"),
        (raising_late, {}, "500"),
        (lambda e, s: RaisingBody(), {}, "500"),
        (text("401 Unauthorized"), {}, "401"),
        (text("200 OK", headers=[("X-Any", "a\r\nb: c")]), {}, "500"),
    ],
    ids=[
        "bad header",
        "bad path",
        "bad host",
        "raised",
        "raised after start",
        "raised in body",
        "early response",
        "bad response",
    ],
)
def test_request_body_is_read_for_every_response(chain, caplog, app, more, status):
    """The request body is read even if the response comes early: otherwise the socket is reset and Nginx answers
    502.
    """
    environ = environment("/", "POST", b"x" * 200_000, **more)
    stream = environ["wsgi.input"]
    answer = call(chain(app, ALLOWED_HOSTS="example.com"), environ)
    assert answer.status[:3] == status
    assert stream.read() == b""


def test_wsgi_errors_is_the_log(chain, caplog):
    """Text that an app writes to wsgi.errors becomes a log line, on every server alike."""
    caplog.set_level(logging.INFO)

    def app(environ, start_response):
        environ["wsgi.errors"].write("complaint\n")
        environ["wsgi.errors"].flush()
        return text()(environ, start_response)

    ask(chain(app))
    assert "complaint" in [record.getMessage() for record in caplog.records]


def test_write_counts_as_body(chain):
    """Data that an app sends with start_response's write() is part of the body, in the right order."""

    def app(environ, start_response):
        write = start_response("200 OK", [("Content-Length", "8")])
        write(b"12")
        yield b"34"
        write(b"56")
        yield b"78"

    assert ask(chain(app)).body == b"12345678"
