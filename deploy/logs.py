"""Logging for every server alike: JSON lines on stderr, each with the id of the request that it belongs to.

The stack's own loggers (get_logger) are outside of the configuration of `logging`, which belongs to the app: nothing
that an app configures can silence them, make them print twice, or make them log their own output again.

Whatever an app does, its lines become JSON lines, once:

- An app that configures nothing logs through the handler of the root logger. A record is one line with its level,
  logger, traceback and extra fields.
- If a handler of the app writes the record to stdout, stderr or wsgi.errors, that handler alone does. These streams
  turn text into JSON lines (Stream), as they do for print().
- Text that does not pass through Python is the subject of deploy/raw_output.py.
"""

import contextlib
import contextvars
import functools
import io
import logging
import logging.config
import os
import sys
import threading
from collections.abc import Callable, Iterator

from pythonjsonlogger.json import JsonFormatter

from deploy import raw_output

request_id: contextvars.ContextVar[str] = contextvars.ContextVar("request_id", default="")

MAX_UNFINISHED = 64 * 1024  # bytes that a thread may write without a line end until they become a line


def log_file_descriptor() -> int:
    """The stderr of the container. deploy/start keeps it open under this number, because servers redirect 2."""
    return int(os.environ.get("LOG_FD", "2"))


def _file(path: int | str) -> tuple[int, int] | None:
    """The identity of a file, by its path or descriptor; None if there is none."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino


class _Formatter(JsonFormatter):
    def __init__(self) -> None:
        super().__init__(
            "%(levelname)s %(name)s %(message)s %(process)d",
            timestamp="time",
            rename_fields={"levelname": "level", "name": "logger", "exc_info": "traceback"},
        )

    def add_fields(self, log_data, record, message_dict) -> None:
        super().add_fields(log_data, record, message_dict)
        log_data["request_id"] = request_id.get()  # not set in the record, where the app may have an id of its own


class _Handler(logging.Handler):
    """Writes each record as one JSON line. Never raises.

    There is one for each process, because its lock keeps the lines of several threads apart.
    """

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(_Formatter())
        self._descriptor = log_file_descriptor()
        self._log = _file(self._descriptor)

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record)
        except Exception:  # for example the arguments do not fit the message
            line = self.format(_unformattable(record))
        # If the app has closed all descriptors (os.closerange), this one may meanwhile be a file of the app.
        is_intact = _file(self._descriptor) == self._log
        masked = raw_output.mask(line, queries=record.name == "gunicorn.error")
        raw_output.write(self._descriptor if is_intact else 2, masked.encode() + b"\n")


def _unformattable(record: logging.LogRecord) -> logging.LogRecord:
    """A record that reports the record and the exception that its formatting has raised."""
    message = record.msg if isinstance(record.msg, str) else type(record.msg)
    text = "this record cannot be formatted: %s (%s:%s)"
    arguments = (message, record.pathname, record.lineno)
    return logging.LogRecord(record.name, record.levelno, "", 0, text, arguments, sys.exc_info())


# --- the stack's own loggers ------------------------------------------------------------------------------------------


class _Logger(logging.Logger):
    def makeRecord(self, name, level, fn, lno, msg, args, exc_info, func=None, extra=None, sinfo=None):
        """As in logging.Logger, but independent of the app's logging.setLogRecordFactory()."""
        record = logging.LogRecord(name, level, fn, lno, msg, args, exc_info, func, sinfo)
        record.__dict__.update(extra or {})
        return record


# A tree of loggers beside that of `logging`, with a root of its own.
root = _Logger("stack", logging.INFO)
_writer = _Handler()
root.addHandler(_writer)
root.manager = logging.Manager(root)  # type: ignore[arg-type]
root.manager.loggerClass = _Logger
get_logger = root.manager.getLogger


def set_level(level: str) -> None:
    """Set the level of the stack's own loggers. `level` is the setting LOG_LEVEL."""
    root.setLevel(level.upper())


# --- what the app prints ----------------------------------------------------------------------------------------------


class _Lines(io.BufferedIOBase):
    """The binary stream below a Stream: what is written up to a line end becomes one record, of one line or several."""

    def __init__(self, name: str, level: int, descriptor: int):
        self.name, self._level, self._descriptor = f"<{name}>", level, descriptor
        self._log = get_logger(name)
        self._log.setLevel(level)  # whatever LOG_LEVEL is: the text may be an error, formatted by a handler of the app
        self._unfinished = threading.local()  # print() writes twice, and threads print at the same time

    @property
    def raw(self):
        return self

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor

    def isatty(self) -> bool:
        return False

    def write(self, data) -> int:
        written = bytes(data)
        text = getattr(self._unfinished, "text", b"") + written
        if text.endswith(b"\n") or len(text) > MAX_UNFINISHED:
            self._unfinished.text = b""
            self._emit(text)
        else:
            self._unfinished.text = text
        return len(written)

    def _emit(self, text: bytes) -> None:
        if message := text.decode("utf-8", "backslashreplace").strip("\r\n"):
            self._log.log(self._level, "%s", message)

    def flush(self) -> None:
        if text := getattr(self._unfinished, "text", b""):
            self._unfinished.text = b""
            self._emit(text)

    def close(self) -> None:
        """Stay open: an app, or a stream that wraps this one, may close it while others still print."""
        self.flush()


class Stream(io.TextIOWrapper):
    """A text stream whose lines become log records; replaces sys.stdout, sys.stderr and wsgi.errors.

    `descriptor` is for code that needs a real file, such as subprocess.run(stdout=sys.stdout): what is written to it
    becomes JSON lines in deploy/raw_output.py.
    """

    mode = "w"

    def __init__(self, name: str, level: int, descriptor: int):
        super().__init__(_Lines(name, level, descriptor), "utf-8", "backslashreplace", newline="", write_through=True)

    def close(self) -> None:
        """Stay open, like the stream below it."""
        with contextlib.suppress(ValueError):  # the stream below it was detached
            self.flush()


# --- the app's loggers ------------------------------------------------------------------------------------------------


class _AppHandler(logging.Handler):
    """The handler of the root logger. It is silent if a handler of the app writes the record to the console."""

    def __init__(self) -> None:
        super().__init__()
        self._consoles = {_file(1), _file(2), _file(log_file_descriptor())} - {None, _file(os.devnull)}

    def emit(self, record: logging.LogRecord) -> None:
        if not any(self._is_printed_by(handler, record) for handler in _handlers(record.name)):
            _writer.handle(record)

    def _is_printed_by(self, handler: logging.Handler, record: logging.LogRecord) -> bool:
        stream = getattr(handler, "stream", None)
        if stream is None or record.levelno < handler.level:
            return False
        try:
            return _file(stream.fileno()) in self._consoles and bool(handler.filter(record))
        except Exception:
            return False  # a stream without a file, or a filter that raises


def _handlers(name: str) -> Iterator[logging.Handler]:
    """The handlers of the logger with this name, and those of its parents."""
    logger = logging.root.manager.loggerDict.get(name, logging.root)
    while isinstance(logger, logging.Logger):
        yield from logger.handlers
        logger = logger.parent if logger.propagate else None


def _with_warnings_of_all_loggers(configure: Callable) -> Callable:
    """logging.config's function, after which the loggers that it has disabled still log warnings and errors.

    They are those that exist and are not named in the configuration, unless it says disable_existing_loggers=False.
    Among them can be the one that logs the tracebacks of the framework.
    """

    @functools.wraps(configure)
    def configured(*args, **kwargs):
        loggers = [logger for logger in logging.root.manager.loggerDict.values() if isinstance(logger, logging.Logger)]
        enabled = [logger for logger in loggers if not logger.disabled]
        try:
            return configure(*args, **kwargs)
        finally:
            for logger in enabled:
                if logger.disabled:
                    logger.disabled = False
                    logger.setLevel(max(logger.level, logging.WARNING))

    return configured


def _log_exception_of_thread(args) -> None:
    """threading.excepthook: the traceback in one line. Python prints it in several."""
    if args.exc_type is not SystemExit:
        name = args.thread.name if args.thread else "unknown"
        exception = (args.exc_type, args.exc_value, args.exc_traceback)
        get_logger("deploy.thread").error("the thread %s ended with an exception", name, exc_info=exception)


def configure(level: str) -> None:
    """Prepare logging and the standard streams for the app. `level` is the setting LOG_LEVEL."""
    set_level(level)
    handler = _AppHandler()
    logging.root.setLevel(level.upper())
    logging.root.addHandler(handler)
    logging.lastResort = handler  # of an app that removes all handlers
    logging.getLogger("alembic.runtime.plugins").setLevel("WARNING")  # a dozen lines each time that it is imported
    logging.config.dictConfig = _with_warnings_of_all_loggers(logging.config.dictConfig)
    logging.config.fileConfig = _with_warnings_of_all_loggers(logging.config.fileConfig)
    threading.excepthook = _log_exception_of_thread
    sys.stdout = Stream("stdout", logging.INFO, 1)
    sys.stderr = Stream("stderr", logging.WARNING, 2)
