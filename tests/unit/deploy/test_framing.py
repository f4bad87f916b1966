"""deploy/middleware/framing.py: on some servers the middleware chunks the body, so that its end is recognizable."""

import http.client
import io

import pytest

from deploy.middleware import framing
from deploy.settings import SERVERS, server_names
from tests.support.wsgi import Answer, ask, text

UNFRAMED = [name for name in server_names() if (SERVERS / name / "unframed").exists()]


def framed(app, server: str = UNFRAMED[0]):
    """The app, wrapped in this middleware alone."""
    return framing.wrap(app, {"WSGI_SERVER": server})


def breaking(*headers, first=b"one"):
    """An app that breaks off after its first part."""

    def app(environ, start_response):
        start_response("200 OK", list(headers))

        def parts():
            yield first
            raise framing.IncompleteResponse

        return parts()

    return app


def as_received(answer: Answer) -> bytes:
    """The body as the client of a server reads it that sends everything unchanged."""
    head = "".join(f"{name}: {value}\r\n" for name, value in answer.headers)
    message = io.BytesIO(f"HTTP/1.1 {answer.status}\r\n{head}\r\n".encode() + answer.body)
    message.makefile = lambda mode: message
    response = http.client.HTTPResponse(message)
    response.begin()
    return response.read()


def test_servers():
    """uWSGI and mod_wsgi need the middleware; Gunicorn chunks by itself."""
    assert UNFRAMED == ["mod_wsgi", "uwsgi"]
    app = text()
    assert framed(app, "gunicorn") is app


@pytest.mark.parametrize("parts", [(), (b"",), (b"one",), (b"one", b"", b"two"), (b"x" * 70_000,)])
def test_body_without_length_is_chunked(parts):
    """A body without a Content-Length is chunked, and the connection closes."""
    answer = ask(framed(text("200 OK", *parts)))
    assert (answer["Transfer-Encoding"], answer["Connection"]) == ("chunked", "close")
    assert as_received(answer) == b"".join(parts)


def test_broken_body_has_no_last_chunk():
    """A body without a Content-Length that breaks off has no last chunk, and the client notices."""
    answer = ask(framed(breaking()))
    assert answer.body == b"3\r\none\r\n"
    with pytest.raises(http.client.IncompleteRead):
        as_received(answer)


@pytest.mark.parametrize("parts, connection", [((b"onetwo",), []), ((b"one", b"two"), ["close"])])
def test_body_with_length_is_unchanged(parts, connection):
    """A body with a Content-Length is sent as it is. The connection closes only if the first part is not all of it."""
    answer = ask(framed(text("200 OK", *parts, headers=[("content-length", "6")])))
    assert (answer.body, answer.all("Transfer-Encoding"), answer.all("Connection")) == (b"onetwo", [], connection)


def test_broken_body_with_length_closes_the_connection():
    """A body shorter than its Content-Length closes the connection, instead of letting the client wait."""
    answer = ask(framed(breaking(("Content-Length", "6"))))
    assert (answer.body, answer["Connection"]) == (b"one", "close")


@pytest.mark.parametrize(
    "method, status",
    [("HEAD", "200 OK"), ("GET", "204 No Content"), ("GET", "304 Not Modified"), ("GET", "101 Switch")],
)
@pytest.mark.parametrize("headers", [[], [("Content-Length", "6")]], ids=["no length", "length"])
def test_response_without_a_body_is_unchanged(method, status, headers):
    """Responses that have no body get neither chunks nor a further header."""
    assert ask(framed(text(status, headers=headers)), method=method) == ask(text(status, headers=headers))


def test_http_1_0_has_no_chunks():
    """A client of HTTP/1.0 gets the body without chunks; the end of the connection is its end."""
    answer = ask(framed(text("200 OK", b"one")), SERVER_PROTOCOL="HTTP/1.0")
    assert (answer.body, answer.all("Transfer-Encoding"), answer["Connection"]) == (b"one", [], "close")


def test_other_exceptions_reach_the_server():
    """Only IncompleteResponse, whose cause has been logged, ends here."""

    def app(environ, start_response):
        start_response("200 OK", [])

        def parts():
            yield b"one"
            raise LookupError

        return parts()

    with pytest.raises(LookupError):
        ask(framed(app))
