"""One logging set-up for every server: JSON lines on stderr, each with the id of the request it belongs to.

What the app prints becomes log lines too, so that print() looks the same under all servers (by itself Gunicorn passes
it on, and Apache prefixes it and calls it an error).
"""

import contextvars
import io
import logging
import os
import sys
import threading
from typing import Any

request_id: contextvars.ContextVar[str] = contextvars.ContextVar("request_id", default="")


def log_file_descriptor() -> int:
    """The container's own stderr. deploy/start keeps it open under this number, because servers redirect 2."""
    return int(os.environ.get("LOG_FD", "2"))


class _RequestId(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        record.request_id = request_id.get()
        return True


class _LogFile(logging.StreamHandler):
    """Writes each line with one write(), so that lines of several processes do not mix."""

    def __init__(self) -> None:
        super().__init__(io.TextIOWrapper(io.FileIO(log_file_descriptor(), "w", closefd=False), write_through=True))


def config(level: str) -> dict[str, Any]:
    """The dictConfig that all servers and the app share. `level` is a LOG_LEVEL of the contract."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {"request_id": {"()": _RequestId}},
        "formatters": {
            "json": {
                "()": "pythonjsonlogger.json.JsonFormatter",
                "fmt": "%(levelname)s %(name)s %(message)s %(request_id)s %(process)d",
                "timestamp": "time",
                "rename_fields": {"levelname": "level", "name": "logger", "exc_info": "traceback"},
            }
        },
        "handlers": {"log": {"()": _LogFile, "formatter": "json", "filters": ["request_id"]}},
        # A dozen lines at each import, of no use to anybody who reads the log.
        "loggers": {"alembic.runtime.plugins": {"level": "WARNING"}},
        "root": {"level": level.upper(), "handlers": ["log"]},
    }


class LineLogger(io.TextIOBase):
    """A text stream whose lines become log records; stands in for sys.stdout, sys.stderr and wsgi.errors."""

    encoding = "utf-8"

    def __init__(self, name: str, level: int):
        self._log = logging.getLogger(name)
        self._level = level
        self._rest = threading.local()  # print() is two writes, and threads print at the same time

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        *lines, self._rest.text = (getattr(self._rest, "text", "") + text).split("\n")
        for line in filter(None, lines):
            self._log.log(self._level, "%s", line)
        return len(text)

    def flush(self) -> None:
        if getattr(self._rest, "text", ""):
            self.write("\n")


def capture_prints() -> None:
    """Turns what is printed in this process into log lines."""
    sys.stdout = LineLogger("stdout", logging.INFO)
    sys.stderr = LineLogger("stderr", logging.WARNING)
