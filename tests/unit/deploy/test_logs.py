"""deploy/logs.py: every line of the log is one JSON object, from any source."""

import json

import pytest

from tests.support.wsgi import python

CODE = r"""if 1:
    import logging, os, sys, threading
    from deploy import logs
    logs.configure("info")
    log = logging.getLogger("some.name")
    log.info("plain")
    log.debug("too low")
    logs.request_id.set("id-1")
    log.warning("with id")
    log.info("first\r\nsecond \x1b[31m \u2028 \u00e9 \ud800")
    try:
        {}["no such key"]
    except KeyError:
        log.exception("broken")
    log.info("structured", extra={"traceback": "line 1\nline 2"})
    print("printed", 1, "\u00fc")
    print("two\nlines")
    print("no end", end="", flush=True)
    print("to stderr", file=sys.stderr)
    sys.stdout.write("begun\nthen in")
    sys.stdout.write("terrupted\n")
    sys.stdout.write("")
    print()
    def half(): # print() writes the text and the line end separately
        logs.request_id.set("id-2")
        sys.stdout.write("half of")
        middle.wait()
        middle.wait()
        sys.stdout.write(" a line\n")
    middle = threading.Barrier(2)
    thread = threading.Thread(target=half)
    thread.start()
    middle.wait()
    print("another thread's")
    middle.wait()
    thread.join()
"""


@pytest.fixture(scope="module")
def lines():
    """The log of one process, a JSON object for each line."""
    done = python(CODE)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    return [json.loads(line) for line in done.stderr.splitlines()]


def find(lines, start: str) -> dict:
    """The only line whose message has this beginning."""
    (line,) = [line for line in lines if line["message"].startswith(start)]
    return line


def test_fields_of_a_line(lines):
    """A line has time, level, logger, message and process id."""
    line = find(lines, "plain")
    assert (line["level"], line["logger"]) == ("INFO", "some.name")
    assert line["time"].startswith("20")
    assert line["process"] > 0


def test_lower_levels_are_not_logged(lines):
    """Lines below LOG_LEVEL are not logged."""
    assert "too low" not in [line["message"] for line in lines]


def test_line_has_the_request_id(lines):
    """Lines of a request have its id, other lines have none."""
    assert not find(lines, "plain")["request_id"]
    assert find(lines, "with id")["request_id"] == "id-1"


def test_message_cannot_forge_a_line(lines):
    """CR LF, escape sequences and invalid text in a message cannot forge a second line."""
    assert find(lines, "first")["message"] == "first\r\nsecond \x1b[31m \u2028 \u00e9 \ud800"


def test_exception_is_one_line(lines):
    """A traceback is a field of its line, not further lines."""
    line = find(lines, "broken")
    assert "KeyError: 'no such key'" in line["traceback"]
    assert find(lines, "structured")["traceback"] == "line 1\nline 2"


@pytest.mark.parametrize(
    ("text", "logger", "level"),
    [
        ("printed 1 \u00fc", "stdout", "INFO"),
        ("two\nlines", "stdout", "INFO"),
        ("no end", "stdout", "INFO"),
        ("begun\nthen interrupted", "stdout", "INFO"),
        ("to stderr", "stderr", "WARNING"),
    ],
)
def test_prints_become_lines(lines, text, logger, level):
    """Printed text is logged with the request id; text of several lines is one record."""
    line = find(lines, text)
    assert (line["message"], line["logger"], line["level"], line["request_id"]) == (
        text,
        logger,
        level,
        "id-1",
    )


def test_empty_prints_are_not_logged(lines):
    """Printing an empty line logs nothing."""
    assert all(line["message"] for line in lines)


@pytest.mark.parametrize(("text", "identity"), [("half of a line", "id-2"), ("another thread's", "id-1")])
def test_prints_of_several_threads_do_not_mix(lines, text, identity):
    """Lines that threads print concurrently stay whole, each with the id of its own request."""
    assert [line["request_id"] for line in lines if line["message"] == text] == [identity]


def test_lines_are_written_to_log_fd():
    """Lines are written to LOG_FD, because servers redirect descriptor 2."""
    code = """if 1:
        import logging, os
        reader, writer = os.pipe()
        os.environ["LOG_FD"] = str(writer)
        from deploy import logs
        logs.configure("debug")
        logging.getLogger().debug("here")
        os.write(1, os.read(reader, 1000))
    """
    done = python(code)
    assert (json.loads(done.stdout)["message"], done.stderr) == ("here", "")
