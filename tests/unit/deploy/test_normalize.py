"""deploy/middleware/normalize.py: requests and responses are the same on every server."""

import io
import json
import string

import pytest
from hypothesis import example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from deploy.middleware import normalize
from deploy.middleware.framing import IncompleteResponse
from deploy.settings import ROOT
from tests.support.wsgi import ask, call, echo, environment, seen, settings, text

SETTINGS = settings(MAX_BODY_SIZE="1k")
CONTROLS = [chr(code) for code in (*range(0x20), 0x7F) if chr(code) != "\t"]


def normalized(app=echo):
    """The app, wrapped in this middleware alone."""
    return normalize.wrap(app, SETTINGS)


# --- requests -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["PATH_INFO", "QUERY_STRING", "HTTP_X_ANY", "HTTP_COOKIE", "HTTP_HOST", "CONTENT_TYPE"])
@pytest.mark.parametrize("place", ["{}a", "/a{}", "/a{}b"])
def test_control_character_is_rejected(key, place):
    """A control character in the path, the query or a header is answered 400 and never reaches the app."""
    for control in CONTROLS:
        answer = ask(normalized(), **{key: place.format(control)})
        assert answer.status == "400 Bad Request", f"{key} with {control!r}"


def test_control_character_in_the_method_is_rejected():
    """A control character in the method is answered 400; uWSGI accepts any bytes there."""
    for control in CONTROLS:
        assert ask(normalized(), method=f"GE{control}T").status == "400 Bad Request", repr(control)


def test_tab_in_the_path_is_rejected_as_by_nginx():
    """A tab in the path is answered 400, as Nginx does for every control character."""
    assert r'$uri ~ "[\x00-\x1f\x7f]"' in (ROOT / "nginx/snippets/refuse.conf").read_text()
    assert ask(normalized(), "/a\tb").status == "400 Bad Request"


@pytest.mark.parametrize("value", ["a\tb", "\xe9\x80\xff", "", "a, b", '"q"', "ü"])
def test_other_values_are_passed_on(value):
    """Header values with a tab inside or with non-ASCII bytes are passed on unchanged."""
    assert seen(normalized(), HTTP_X_ANY=value)["HTTP_X_ANY"] == value


@pytest.mark.parametrize("value", [" a", "a ", "\ta b\t", " \t a b \t "])
def test_white_space_around_values_is_stripped(value):
    """White space around a header value is removed."""
    passed = seen(normalized(), HTTP_X_ANY=value, CONTENT_TYPE=value)
    assert (passed["HTTP_X_ANY"], passed["CONTENT_TYPE"]) == (value.strip(), value.strip())


@pytest.mark.parametrize("name", ["CONNECTION", "KEEP_ALIVE", "TE", "TRAILER", "UPGRADE", "EXPECT", "PROXY"])
def test_hop_by_hop_headers_are_removed(name):
    """Hop-by-hop headers do not reach the app, and Proxy does not become HTTP_PROXY."""
    assert f"HTTP_{name}" not in seen(normalized(), **{f"HTTP_{name}": "x"})


@pytest.mark.parametrize(
    "length", ["+5", "-1", "5, 5", "5,5", "0x5", "5 5", "5.0", "1e1", "five", "٣", "²", "1_0", "5\n", "5\x00"]
)
def test_bad_content_length_is_400(length):
    """A Content-Length that is not a plain number is answered 400."""
    assert ask(normalized(), "/", "POST", b"12345", CONTENT_LENGTH=length).status == "400 Bad Request"


@pytest.mark.parametrize(
    ("length", "body"), [("5", "12345"), ("3", "123"), ("0", ""), ("", ""), (None, ""), ("005", "12345")]
)
def test_body_ends_at_content_length(length, body):
    """The app reads exactly Content-Length bytes, even if the server's stream has more."""
    assert seen(normalized(), "/", "POST", b"12345GET / HTTP/1.1", CONTENT_LENGTH=length)["body"] == body


@pytest.mark.parametrize("value", ["chunked", "identity", "gzip, chunked", ""])
def test_transfer_encoding_is_411(value):
    """A body of unknown length is answered 411, since uWSGI would pass an empty body to the app."""
    assert ask(normalized(), "/", "POST", b"x", HTTP_TRANSFER_ENCODING=value).status == "411 Length Required"


@pytest.mark.parametrize(
    ("size", "status"), [(1023, "200"), (1024, "200"), (1025, "413"), (1026, "413"), (10**12, "413")]
)
def test_limit_is_exact(size, status):
    """A body of MAX_BODY_SIZE is accepted; one more byte is answered 413, and the app is not called."""
    called = []

    def app(environ, start_response):
        called.append(True)
        return text()(environ, start_response)

    answer = ask(normalized(app), "/", "POST", b"x" * min(size, 4096), CONTENT_LENGTH=str(size))
    assert answer.status[:3] == status
    assert bool(called) == (status == "200")


@pytest.mark.parametrize("read", [None, 0, 1, 500, 1000])
def test_unread_body_is_drained_on_close(read):
    """The rest of the body is read when the response is closed, and nothing beyond it."""

    def app(environ, start_response):
        if read is not None:
            environ["wsgi.input"].read(read)
        return text()(environ, start_response)

    environ = environment("/", "POST", b"x" * 1000 + b"GET", CONTENT_LENGTH="1000")
    stream = environ["wsgi.input"]
    call(normalized(app), environ)
    assert stream.read() == b"GET"


def test_rejected_body_is_drained():
    """The body of a request with 413 is read too, so that the client receives the response."""
    environ = environment("/", "POST", b"x" * 300_000)
    stream = environ["wsgi.input"]
    assert call(normalized(), environ).status[:3] == "413"
    assert stream.read() == b""


def test_body_is_drained_even_if_close_raises():
    """The body is drained even if the app's close() raises."""

    class Body(list):
        def close(self):
            raise LookupError

    def app(environ, start_response):
        start_response("200 OK", [])
        return Body()

    environ = environment("/", "POST", b"x" * 1000)
    stream = environ["wsgi.input"]
    with pytest.raises(LookupError):
        call(normalized(app), environ)
    assert stream.read() == b""


def test_interrupted_upload_ends_the_reading():
    """Reading ends if the client disconnects in the middle of the body."""
    environ = environment("/", "POST", b"x" * 10, CONTENT_LENGTH="1000")
    assert json.loads(call(normalized(), environ).body)["body"] == "x" * 10


OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["read", "readline"]), st.sampled_from([(), (None,), (-1,)])),
        st.tuples(st.sampled_from(["read", "readline"]), st.tuples(st.integers(0, 40))),
        st.tuples(st.sampled_from(["readlines", "next", "loop"]), st.just(())),
    ),
    max_size=8,
)


def apply(stream, operation, arguments):
    """Apply one reading operation to a stream."""
    if operation == "next":
        return next(iter(stream), None)
    if operation == "loop":
        return list(stream)
    return getattr(stream, operation)(*arguments)


@hypothesis_settings(max_examples=150, deadline=None)
@given(st.binary(max_size=60) | st.text("a\n", max_size=60).map(str.encode), st.integers(0, 70), OPERATIONS)
@example(b"ab", 2, [("read", (0,)), ("read", ())])
@example(b"a\nb", 3, [("readline", (0,)), ("readline", ())])
def test_input_reads_like_a_file(data, length, operations):
    """wsgi.input behaves like a file with exactly the body, for every way of reading; close() drains the rest."""
    server, model, results = io.BytesIO(data), io.BytesIO(data[:length]), []

    def app(environ, start_response):
        results.extend(apply(environ["wsgi.input"], *operation) for operation in operations)
        return text()(environ, start_response)

    environ = environment("/", "POST", CONTENT_LENGTH=str(length))
    environ["wsgi.input"] = server
    call(normalized(app), environ)
    assert results == [apply(model, *operation) for operation in operations]
    assert server.tell() == min(length, len(data))


@hypothesis_settings(max_examples=100, deadline=None)
@given(st.text(st.sampled_from(string.printable + "\x00\x80\xff"), max_size=20))
def test_any_header_value_is_handled(value):
    """Any header value is either passed on stripped, or answered 400 because of a control character."""
    answer = ask(normalized(), HTTP_X_ANY=value)
    if any(byte in CONTROLS for byte in value):
        assert answer.status == "400 Bad Request"
    else:
        assert json.loads(answer.body)["HTTP_X_ANY"] == value.strip(" \t")


# --- responses ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "status"), [("HEAD", "200 OK"), ("GET", "204 No Content"), ("GET", "304 Not Modified")]
)
def test_responses_without_a_body(method, status):
    """Responses to HEAD, and with 204 and 304, have no body but the headers of the app."""
    answer = ask(normalized(text(status, b"body", headers=[("Content-Length", "4"), ("ETag", '"1"')])), method=method)
    assert (answer.status, answer.body, answer["ETag"]) == (status, b"", '"1"')
    assert answer.all("Content-Length") == ([] if status[:3] == "204" else ["4"])


def test_body_is_cut_at_content_length():
    """Bytes beyond Content-Length are not sent: clients would take them for the next response."""
    assert ask(normalized(text("200 OK", b"123", b"456", b"789", headers=[("Content-Length", "4")]))).body == b"1234"


@pytest.mark.parametrize("parts", [(b"123",), (b"1", b"", b"2")])
def test_short_body_is_an_error(parts):
    """A body shorter than its Content-Length is an error, so that the server closes the connection."""
    with pytest.raises(IncompleteResponse):
        ask(normalized(text("200 OK", *parts, headers=[("Content-Length", "4")])))


@pytest.mark.parametrize("parts", [(), (b"",)])
def test_missing_body_is_500(parts):
    """A Content-Length without any body is answered 500, as nothing has been sent yet."""
    answer = ask(normalized(text("200 OK", *parts, headers=[("Content-Length", "4")])))
    assert answer.status == "500 Internal Server Error"


HOP_BY_HOP = (
    "Connection Keep-Alive Proxy-Authenticate Proxy-Connection Status TE Trailer Transfer-Encoding Upgrade".split()
)


@pytest.mark.parametrize("name", HOP_BY_HOP)
def test_hop_by_hop_headers_of_the_response_are_removed(name):
    """Hop-by-hop headers of the app, in any case, do not reach the server."""
    for spelled in (name, name.lower(), name.upper()):
        assert ask(normalized(text("200 OK", headers=[(spelled, "x"), ("X-Kept", "1")]))).all(name) == []


def test_headers_that_connection_names_are_removed():
    """A header that the app's Connection names does not reach the server."""
    headers = [("X-Named", "1"), ("Connection", "close, x-named"), ("X-Kept", "1")]
    answer = ask(normalized(text("200 OK", headers=headers)))
    assert (answer.all("X-Named"), answer.all("X-Kept")) == ([], ["1"])


@pytest.mark.parametrize("lengths", [["4"], ["4", "4"], [" 4 "]])
def test_content_length_is_sent_once(lengths):
    """Equal values of Content-Length become one."""
    headers = [("Content-Length", value) for value in lengths]
    assert ask(normalized(text("200 OK", b"1234", headers=headers)))["Content-Length"] == "4"


@pytest.mark.parametrize("lengths", [["4", "3"], ["4,4"], ["-4"], ["+4"], ["4_0"], ["four"], [""], ["4.0"], ["9" * 19]])
def test_invalid_content_length_is_an_error(lengths):
    """A Content-Length that is not one number is an error, and nothing is sent."""
    with pytest.raises(normalize.BadResponseHead):
        ask(normalized(text("200 OK", b"1234", headers=[("Content-Length", value) for value in lengths])))


@pytest.mark.parametrize(
    "status", ["", "OK", "20 OK", "2000 OK", "099 Low", "100 Continue", "101 Switch", "200OK", "200 €"]
)
def test_invalid_status_is_an_error(status):
    """A status that is not three digits from 200 and a text is an error, and nothing is sent."""
    with pytest.raises(normalize.BadResponseHead):
        ask(normalized(text(status)))


def test_upgrade_keeps_its_headers():
    """A 101 to a request with Upgrade, if a middleware outside lets that header pass, keeps its hop-by-hop headers."""
    headers = [("Connection", "Upgrade"), ("Upgrade", "websocket")]

    def app(environ, start_response):
        environ["HTTP_UPGRADE"] = "websocket"
        return text("101 Switching Protocols", headers=headers)(environ, start_response)

    assert ask(normalized(app)).headers[1:] == headers


@pytest.mark.parametrize(
    "status, location, sent",
    [
        ("200 OK", "/next", "http://example.com/next"),
        ("200 OK", "//other/next", "http://other/next"),
        ("200 OK", "https://other/next", "https://other/next"),
        ("201 Created", "/next", "/next"),
        ("302 Found", "/next", "/next"),
    ],
)
def test_location_of_200_is_absolute(status, location, sent):
    """The Location of a 200 is an absolute URL: mod_wsgi would answer with the page that a path names."""
    assert ask(normalized(text(status, headers=[("Location", location)])))["Location"] == sent


def test_body_without_length_is_unchanged():
    """Without a Content-Length the body is sent unchanged."""
    assert ask(normalized(text("200 OK", b"1", b"", b"2"))).body == b"12"


@pytest.mark.parametrize("bad", ["\r\n", "\n", "\r", "\x00", "\x0b", "\x7f"])
@pytest.mark.parametrize("place", ["value", "name", "status"])
def test_response_splitting_is_an_error(bad, place):
    """A control character in a header or the status line is an error, and nothing is sent."""
    header = (
        f"X-Any{bad}" if place == "name" else "X-Any",
        f"a{bad}Set-Cookie: b" if place == "value" else "a",
    )
    sent = []
    status = f"200 OK{bad}X: y" if place == "status" else "200 OK"
    with pytest.raises(normalize.BadResponseHead):
        normalized(text(status, headers=[header]))(environment(), lambda *arguments: sent.append(arguments))
    assert sent == []


def test_second_start_replaces_the_length():
    """An app that replaces its response with an error page is measured by the Content-Length of that page."""

    def app(environ, start_response):
        start_response("200 OK", [("Content-Length", "1000")])
        try:
            raise LookupError
        except LookupError as error:
            start_response("500 Internal Server Error", [], (LookupError, error, None))
        return [b"error page"]

    assert ask(normalized(app)).body == b"error page"


def test_generator_is_normalized():
    """A generator, which calls start_response with its first part, is normalized too."""

    def app(environ, start_response):
        start_response("204 No Content", [])
        yield b"body"

    assert ask(normalized(app)).body == b""


def test_file_wrapper_accepts_any_file(tmp_path):
    """wsgi.file_wrapper sends any object with read(), and closes it."""
    (tmp_path / "file").write_bytes(b"x" * 100_000)
    file = open(tmp_path / "file", "rb")  # noqa: SIM115

    def app(environ, start_response):
        start_response("200 OK", [("Content-Length", "100000")])
        return environ["wsgi.file_wrapper"](file)

    assert len(ask(normalized(app)).body) == 100_000
    assert file.closed


@pytest.mark.parametrize("method, status", [("HEAD", "200 OK"), ("GET", "204 No Content")])
def test_body_that_is_not_sent_is_not_continued(method, status):
    """An exception in the middle of a body that is not sent changes nothing."""

    def app(environ, start_response):
        start_response(status, [])

        def parts():
            yield b"first"
            raise LookupError("in the middle")

        return parts()

    assert ask(normalized(app), method=method).status == status


@pytest.mark.parametrize("workers, threads", [("1", "1"), ("1", "4"), ("3", "1")])
def test_concurrency_follows_the_settings(workers, threads):
    """wsgi.multiprocess and wsgi.multithread follow the settings on every server (PEP 3333)."""
    passed_environ = {}

    def app(environ, start_response):
        passed_environ.update(environ)
        return text("200 OK")(environ, start_response)

    wrapped = normalize.wrap(app, settings(WEB_CONCURRENCY=workers, WEB_THREADS=threads))
    ask(wrapped, **{"wsgi.multiprocess": workers == "1", "wsgi.multithread": threads == "1"})
    assert (passed_environ["wsgi.multiprocess"], passed_environ["wsgi.multithread"]) == (workers != "1", threads != "1")
