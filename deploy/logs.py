"""Logging for every server alike: JSON lines on stderr, each with the id of the request that it belongs to.

What the app prints becomes log lines too, so that print() has the same effect under all servers. (Without this,
Gunicorn passes the output through, and Apache prefixes it and logs it as an error.)
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
    """The stderr of the container. deploy/start keeps it open under this number, because servers redirect 2."""
    return int(os.environ.get("LOG_FD", "2"))


class _RequestIdFilter(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        record.request_id = request_id.get()
        return True


class _StderrHandler(logging.StreamHandler):
    """Writes each line with a single write(), so that lines of several processes do not mix."""

    def __init__(self) -> None:
        super().__init__(io.TextIOWrapper(io.FileIO(log_file_descriptor(), "w", closefd=False), write_through=True))


def config(level: str) -> dict[str, Any]:
    """The dictConfig that the servers and the app share. `level` is the setting LOG_LEVEL."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {"request_id": {"()": _RequestIdFilter}},
        "formatters": {
            "json": {
                "()": "pythonjsonlogger.json.JsonFormatter",
                "fmt": "%(levelname)s %(name)s %(message)s %(request_id)s %(process)d",
                "timestamp": "time",
                "rename_fields": {"levelname": "level", "name": "logger", "exc_info": "traceback"},
            }
        },
        "handlers": {"stderr": {"()": _StderrHandler, "formatter": "json", "filters": ["request_id"]}},
        # Alembic logs a dozen lines about its plugins each time it is imported.
        "loggers": {"alembic.runtime.plugins": {"level": "WARNING"}},
        "root": {"level": level.upper(), "handlers": ["stderr"]},
    }


class LineLogger(io.TextIOBase):
    """A text stream whose lines become log records; replaces sys.stdout, sys.stderr and wsgi.errors."""

    encoding = "utf-8"

    def __init__(self, name: str, level: int):
        self._log = logging.getLogger(name)
        self._level = level
        self._unfinished = threading.local()  # print() writes twice, and threads print at the same time

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        *lines, self._unfinished.text = (getattr(self._unfinished, "text", "") + text).split("\n")
        for line in filter(None, lines):
            self._log.log(self._level, "%s", line)
        return len(text)

    def flush(self) -> None:
        if getattr(self._unfinished, "text", ""):
            self.write("\n")


def capture_prints() -> None:
    """Turn what this process prints into log lines."""
    sys.stdout = LineLogger("stdout", logging.INFO)
    sys.stderr = LineLogger("stderr", logging.WARNING)
