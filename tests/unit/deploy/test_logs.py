"""deploy/logs.py: every line of the log is one JSON object, whoever wrote it."""

import json

import pytest

from tests.support.wsgi import python

CODE = r"""if 1:
    import logging.config, os, sys, threading
    from deploy import logs
    logging.config.dictConfig(logs.config("info"))
    logs.capture_prints()
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
    sys.stdout.write("")
    print()
    def half(): # print() is two writes, the text and the end of the line
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
    """The one line whose message begins so."""
    (line,) = [line for line in lines if line["message"].startswith(start)]
    return line


def test_line_says_when_what_and_who(lines):
    """A line has time, level, logger, message and process."""
    line = find(lines, "plain")
    assert (line["level"], line["logger"]) == ("INFO", "some.name")
    assert line["time"].startswith("20")
    assert line["process"] > 0


def test_lower_levels_are_left_out(lines):
    """LOG_LEVEL is kept."""
    assert "too low" not in [line["message"] for line in lines]


def test_line_has_the_id_of_its_request(lines):
    """Inside a request each line has its id, outside none."""
    assert not find(lines, "plain")["request_id"]
    assert find(lines, "with id")["request_id"] == "id-1"


def test_message_with_line_ends_stays_one_line(lines):
    """CR LF, escape sequences and broken text in a message forge no second line."""
    assert find(lines, "first")["message"] == "first\r\nsecond \x1b[31m \u2028 \u00e9 \ud800"


def test_exception_is_one_line(lines):
    """A traceback is a field of the line, not lines of its own."""
    line = find(lines, "broken")
    assert "KeyError: 'no such key'" in line["traceback"]
    assert find(lines, "structured")["traceback"] == "line 1\nline 2"


@pytest.mark.parametrize(
    ("text", "logger", "level"),
    [
        ("printed 1 \u00fc", "stdout", "INFO"),
        ("two", "stdout", "INFO"),
        ("lines", "stdout", "INFO"),
        ("no end", "stdout", "INFO"),
        ("to stderr", "stderr", "WARNING"),
    ],
)
def test_prints_become_lines(lines, text, logger, level):
    """What the app prints is in the log line by line, with the request's id."""
    line = find(lines, text)
    assert (line["message"], line["logger"], line["level"], line["request_id"]) == (
        text,
        logger,
        level,
        "id-1",
    )


def test_empty_prints_write_nothing(lines):
    """An empty line printed is no line in the log."""
    assert all(line["message"] for line in lines)


@pytest.mark.parametrize(("text", "identity"), [("half of a line", "id-2"), ("another thread's", "id-1")])
def test_prints_of_several_threads_do_not_mix(lines, text, identity):
    """What threads print at the same time arrives in whole lines, each under the id of its own request."""
    assert [line["request_id"] for line in lines if line["message"] == text] == [identity]


def test_lines_go_to_the_descriptor_that_was_kept():
    """With LOG_FD the lines go there, because servers redirect descriptor 2."""
    code = """if 1:
        import logging.config, os
        reader, writer = os.pipe()
        os.environ["LOG_FD"] = str(writer)
        from deploy import logs
        logging.config.dictConfig(logs.config("debug"))
        logging.getLogger().debug("here")
        print(os.read(reader, 1000).decode())
    """
    done = python(code)
    assert (json.loads(done.stdout)["message"], done.stderr) == ("here", "")
