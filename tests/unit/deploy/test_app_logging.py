"""Whatever an app does with logging and with its standard streams, requests are answered, and its lines appear once."""

import json

import pytest

from tests.support.wsgi import python

# Each source configures logging when the app is loaded.
FORMATTED = """
logging.config.dictConfig({
    "version": 1,
    %s
    "formatters": {"default": {"format": "[%%(asctime)s] %%(levelname)s in %%(module)s: %%(message)s"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "default"%s}},
    "root": {"level": "INFO", "handlers": ["console"]},
})
"""
KEEP = '"disable_existing_loggers": False,'
STDOUT = ', "stream": "ext://sys.stdout"'
FLASK = ', "stream": "ext://flask.logging.wsgi_errors_stream"'
ALEMBIC_INI = """
[loggers]
keys = root,alembic
[handlers]
keys = console
[formatters]
keys = generic
[logger_root]
level = WARN
handlers = console
[logger_alembic]
level = INFO
handlers =
qualname = alembic
[handler_console]
class = StreamHandler
args = (sys.stderr,)
level = NOTSET
formatter = generic
[formatter_generic]
format = %(levelname)-5.5s [%(name)s] %(message)s
"""
FILE_CONFIG = "logging.config.fileConfig(io.StringIO(ALEMBIC_INI)%s)"
CONFIGURATIONS = {
    "nothing": "",
    "basicConfig": "logging.basicConfig(level=logging.INFO)",
    "basicConfig by force": "logging.basicConfig(level=logging.INFO, force=True)",
    "basicConfig by force to stdout": "logging.basicConfig(level=logging.INFO, force=True, stream=sys.stdout)",
    "a further root handler": "logging.getLogger().addHandler(logging.StreamHandler())",
    "a further root handler to stdout": "logging.getLogger().addHandler(logging.StreamHandler(sys.stdout))",
    "a handler of its own logger": 'logging.getLogger("shop").addHandler(logging.StreamHandler())',
    "Django's first example": FORMATTED % (KEEP, ""),
    "dictConfig": FORMATTED % ("", ""),
    "dictConfig to stdout": FORMATTED % (KEEP, STDOUT),
    "dictConfig to stdout, existing loggers disabled": FORMATTED % ("", STDOUT),
    "Flask's manual": FORMATTED % ("", FLASK),
    "Flask's manual, existing loggers kept": FORMATTED % (KEEP, FLASK),
    "dictConfig after the loggers were made": 'log = logging.getLogger("shop"); app.logger' + FORMATTED % ("", ""),
    "dictConfig without handlers": 'logging.config.dictConfig({"version": 1})',
    "fileConfig": FILE_CONFIG % "",
    "fileConfig, existing loggers kept": FILE_CONFIG % ", disable_existing_loggers=False",
    "fileConfig after the loggers were made": "app.logger; " + FILE_CONFIG % "",
    "no root handler": "logging.getLogger().handlers.clear()",
    "its own logger class": "logging.setLoggerClass(type('L', (logging.Logger,), {}))",
    "a handler that prints nothing": "logging.getLogger().addHandler(logging.NullHandler())",
    "a handler with a higher level": """
handler = logging.StreamHandler()
handler.setLevel(logging.CRITICAL)
logging.getLogger().addHandler(handler)
""",
    "a handler with a filter, as Django's": """
handler = logging.StreamHandler()
handler.addFilter(lambda record: False)
logging.getLogger().addHandler(handler)
""",
    "logging.shutdown": "logging.shutdown()",
    "a stdout of its own": "sys.stdout = codecs.getwriter('utf-8')(sys.stdout.buffer)",
    "a stdout with another encoding": "sys.stdout.reconfigure(encoding='latin-1', line_buffering=True)",
    "a wrapper of stdout that is deleted": "io.TextIOWrapper(sys.stdout.buffer)",
    "a detached stdout": "sys.stdout = io.TextIOWrapper(sys.stdout.detach(), 'utf-8', line_buffering=True)",
    "closed streams": "sys.stdout.close(); sys.stderr.close()",
}
APP = """
import codecs, io, logging, logging.config, sys
from flask import Flask
ALEMBIC_INI = '''%s'''
app = Flask(__name__)
%s
@app.get("/")
def front():
    logging.getLogger("shop").warning("an order came in")
    app.logger.error("from the logger of Flask")
    print("printed to stdout")
    print("printed to stderr", file=sys.stderr)
    return "ok"
@app.get("/boom")
def boom():
    raise RuntimeError("the app is broken")
"""
ASK = """if 1:
    import os
    from deploy.wsgi import application
    from tests.support.wsgi import ask
    for path in ("/", "/boom", "/"):
        os.write(3, ask(application, path, HTTP_X_REQUEST_ID=f"id-{path[1:]}").status[:3].encode())
"""
WORDS = ("an order came in", "from the logger of Flask", "printed to stdout", "printed to stderr")


def log_of(source: str, folder, code: str = ASK, level: str = "info") -> list[dict]:
    """The log of a process that loads an app and asks for its pages. Every line must be JSON."""
    (folder / "custom.py").write_text(source)
    redirected = f"import os; os.close(3) if os.path.exists('/proc/self/fd/3') else None; os.dup2(1, 3)\n{code}"
    done = python(redirected, WSGI_APP="custom:app", PYTHONPATH=f".:{folder}", LOG_LEVEL=level)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    if code is ASK:
        assert done.stdout == "200500200", lines
    return lines


def containing(lines: list[dict], word: str) -> list[dict]:
    return [line for line in lines if word in line["message"] or word in (line.get("traceback") or "")]


@pytest.mark.parametrize("configuration", CONFIGURATIONS)
def test_requests_are_answered_and_lines_appear_once(configuration, tmp_path):
    """Each line of the app, and the traceback of a 500, is logged once for each request, as JSON with its id."""
    lines = log_of(APP % (ALEMBIC_INI, CONFIGURATIONS[configuration]), tmp_path)
    for word in WORDS:
        assert [line["request_id"] for line in containing(lines, word)] == ["id-", "id-"], (word, lines)
    (broken,) = containing(lines, "RuntimeError: the app is broken")
    assert broken["request_id"] == "id-boom"
    assert "Traceback" in broken["message"] + (broken.get("traceback") or "")


@pytest.mark.parametrize("configuration", ["nothing", "dictConfig to stdout", "Flask's manual", "no root handler"])
def test_traceback_appears_at_any_level_up_to_error(configuration, tmp_path):
    """With LOG_LEVEL=error the traceback of a 500 is logged, also by a handler of the app that writes text."""
    lines = log_of(APP % (ALEMBIC_INI, CONFIGURATIONS[configuration]), tmp_path, level="error")
    assert len(containing(lines, "RuntimeError: the app is broken")) == 1


RAISING = {
    "handler": """
class Raising(logging.Handler):
    def emit(self, record):
        raise OSError("the handler is broken")
logging.getLogger().addHandler(Raising())
""",
    "filter": """
def refuse(record):
    raise OSError("the filter is broken")
handler = logging.StreamHandler()
handler.addFilter(refuse)
logging.getLogger().addHandler(handler)
""",
    "record factory": """
def make(*args, **kwargs):
    raise OSError("the factory is broken")
logging.setLogRecordFactory(make)
""",
}


@pytest.mark.parametrize("kind", RAISING)
def test_raising_logging_is_a_500_with_its_traceback(kind, tmp_path):
    """An exception of the app's own handler, filter or record factory is a 500, and its traceback is logged."""
    code = ASK.replace('"/", "/boom", "/"', '"/",')
    lines = log_of(APP % ("", RAISING[kind]), tmp_path, code)
    (line,) = [line for line in lines if line["logger"] == "deploy.errors"]
    assert f"OSError: the {kind.split()[-1]} is broken" in line["traceback"]
    assert line["request_id"] == "id-"


STRUCTURED = """
import logging
log = logging.getLogger("shop")
def app(environ, start_response):
    log.info("an order came in", extra={"order": 7, "request_id": "of the app"})
    log.info("%d items", "three")
    try:
        1 / 0
    except ZeroDivisionError:
        log.exception("broken")
    start_response("200 OK", [])
    return [b""]
"""


def test_app_that_configures_nothing_has_structured_lines(tmp_path):
    """Without a configuration a line has level, logger, traceback and extra fields, and the stack's request id."""
    lines = log_of(STRUCTURED, tmp_path, ASK.replace('"/", "/boom", "/"', '"/x",'))
    (order,) = containing(lines, "an order came in")
    assert (order["level"], order["logger"], order["order"], order["request_id"]) == ("INFO", "shop", 7, "id-x")
    assert "ZeroDivisionError" in containing(lines, "broken")[0]["traceback"]


def test_app_that_removes_all_handlers_has_structured_lines(tmp_path):
    """Lines of an app that removes the handlers of the root logger, and adds none, have their fields too."""
    removed = STRUCTURED.replace("import logging", "import logging; logging.getLogger().handlers.clear()")
    lines = log_of(removed, tmp_path, ASK.replace('"/", "/boom", "/"', '"/x",'))
    assert containing(lines, "an order came in")[0]["order"] == 7


def test_record_that_cannot_be_formatted_is_reported(tmp_path):
    """A log call whose arguments do not fit its message becomes one line, with the reason."""
    lines = log_of(STRUCTURED, tmp_path, ASK.replace('"/", "/boom", "/"', '"/x",'))
    (line,) = containing(lines, "%d items")
    assert "TypeError" in line["traceback"]
    assert (line["logger"], line["request_id"]) == ("shop", "id-x")


STREAMS = r"""
import faulthandler, contextlib, io, subprocess, sys, threading
def app(environ, start_response):
    assert (sys.stdout.fileno(), sys.stderr.fileno()) == (1, 2)
    assert not sys.stdout.isatty() and sys.stdout.encoding == "utf-8" and sys.stdout.writable()
    sys.stdout.writelines(["first\n", "second\n"])
    sys.stdout.buffer.write(b"bytes \xff\n")
    sys.stderr.buffer.raw.write(b"raw bytes\n")
    with contextlib.redirect_stdout(io.StringIO()) as caught:
        print("redirected")
    assert caught.getvalue() == "redirected\n"
    subprocess.run(["true"], stdout=sys.stdout, stderr=sys.stderr, check=True)
    faulthandler.enable()
    print("lone surrogate \ud800, separator \u2028")
    environ["wsgi.errors"].writelines(["to wsgi.errors\n"])
    sys.stderr.write("Traceback (most recent call last):\n  File\nValueError: formatted\n")
    print("x" * 200_000)
    thread = threading.Thread(target=lambda: 1 / 0)
    thread.start()
    thread.join()
    start_response("200 OK", [])
    return [b""]
"""


def test_streams_are_files(tmp_path):
    """sys.stdout and sys.stderr have fileno(), buffer, isatty() and encoding; bytes and blocks of text are lines."""
    lines = log_of(STREAMS, tmp_path, ASK.replace('"/", "/boom", "/"', '"/x",'))
    written = [line["message"] for line in lines if line["request_id"] == "id-x"]
    assert written[:4] == ["first", "second", "bytes \\xff", "raw bytes"]
    assert written[4:7] == ["lone surrogate \\ud800, separator \u2028", "to wsgi.errors", lines[6]["message"]]
    assert lines[6]["message"].splitlines()[0] == "Traceback (most recent call last):"
    assert len(lines[7]["message"]) == 200_000
    assert "ZeroDivisionError" in lines[8]["traceback"] and lines[8]["logger"] == "deploy.thread"
    assert len(lines) == 9


BROKEN = """
import logging, os
def app(environ, start_response):
    {}
    logging.getLogger("shop").warning("an order came in")
    print("printed")
    environ["wsgi.errors"].write("complaint\\n")
    start_response("200 OK", [])
    return [b""]
"""
WAYS = {
    "closed": 'os.close(int(os.environ["LOG_FD"]))',
    "reader gone": 'os.close(int(os.environ["READER"]))',
    "all closed": "os.close(2)",
    "environment cleared": "os.environ.clear()",
}


@pytest.mark.parametrize("way", WAYS)
def test_broken_log_does_not_break_requests(way, tmp_path):
    """Requests are answered even if the descriptor of the log is closed or its reader has exited."""
    (tmp_path / "custom.py").write_text(BROKEN.format(WAYS[way]))
    code = """if 1:
        import os
        reader, writer = os.pipe()
        os.environ |= {"LOG_FD": str(writer), "READER": str(reader)}
        from deploy.wsgi import application
        from tests.support.wsgi import ask
        os.write(1, ask(application).status.encode())
    """
    done = python(code, WSGI_APP="custom:app", PYTHONPATH=f".:{tmp_path}")
    assert (done.returncode, done.stdout) == (0, "200 OK"), done.stderr


def test_lines_never_reach_another_file(tmp_path):
    """If an app closes all descriptors, the next file that it opens gets none of the log's lines."""
    source = f"""
import logging, os
def app(environ, start_response):
    os.close(int(os.environ["LOG_FD"]))
    file = os.open({str(tmp_path / "data")!r}, os.O_CREAT | os.O_WRONLY)
    assert file == int(os.environ["LOG_FD"])
    logging.getLogger("shop").warning("an order came in")
    start_response("200 OK", [])
    return [b""]
"""
    code = """if 1:
        import os
        os.environ["LOG_FD"] = str(os.dup(2))
        from deploy.wsgi import application
        from tests.support.wsgi import ask
        ask(application)
    """
    (tmp_path / "custom.py").write_text(source)
    done = python(code, WSGI_APP="custom:app", PYTHONPATH=f".:{tmp_path}")
    assert (tmp_path / "data").read_bytes() == b""
    assert "an order came in" in done.stderr


def test_lines_of_several_threads_never_mix(tmp_path):
    """Long lines that threads print, log and write to wsgi.errors at the same time stay whole."""
    (tmp_path / "custom.py").write_text("def app(environ, start_response): return environ")
    code = """if 1:
        import logging, os, sys, threading, time
        reader, writer = os.pipe()
        os.environ["LOG_FD"] = str(writer)
        import deploy.wsgi
        def repeat(write):
            for _ in range(20):
                write("x" * 100_000)
        log = logging.getLogger("shop")
        threads = [threading.Thread(target=repeat, args=[write]) for write in (print, log.warning, log.error)]
        for thread in threads:
            thread.start()
        threading.Thread(target=lambda: ([thread.join() for thread in threads], os.write(writer, b"end"))).start()
        content = bytearray()
        while not content.endswith(b"end"):
            content += os.read(reader, 8192)
        os.write(1, content)
    """
    done = python(code, WSGI_APP="custom:app", PYTHONPATH=f".:{tmp_path}")
    assert len([json.loads(line)["message"] for line in done.stdout.splitlines()[:-1]]) == 60, done.stderr
