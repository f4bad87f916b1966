"""The one error that the operator sees: what failed, why, and how to fix it.

Settings, entry points, the CLI and the Heroku rehearsal all raise it. Only the standard library, Python 3.10 or newer.
"""

import textwrap
import traceback
from collections.abc import Iterable

# Exit statuses of every command and entry point.
EXIT_FAILURE = 1
EXIT_USAGE = 2  # what argparse uses for wrong arguments
EXIT_CONFIG = 78  # EX_CONFIG of sysexits.h: a restart does not help, a setting has to be changed

_LABEL_WIDTH = 7  # of "error: ", so that the three texts line up


class StackError(Exception):
    """Something that the operator has to fix.

    error: what failed, with the value. cause: why. fix: the command or the change that fixes it. status: the exit
    status of the process that ends with this error.
    """

    def __init__(self, error: str, cause: str, fix: str, status: int = EXIT_FAILURE):
        super().__init__(error)
        self.error, self.cause, self.fix, self.status = error, cause, fix, status

    def __str__(self) -> str:
        parts = (("error", self.error), ("cause", self.cause), ("fix", self.fix))
        return "\n".join(_labelled(label, text) for label, text in parts)


class StackErrors(StackError):
    """Several errors at once, so that they can all be fixed before the next attempt."""

    def __init__(self, errors: Iterable[StackError], status: int = EXIT_CONFIG):
        self.errors = list(errors)
        super().__init__("; ".join(error.error for error in self.errors), "", "", status)

    def __str__(self) -> str:
        return "\n\n".join(map(str, self.errors))


def not_started(entry_point: str, error: StackError) -> bytes:
    """The text with which an entry point exits: the last lines of the traceback if an exception is the cause.

    The only text in the log that is not JSON: it is for the operator, and nothing was started that could log more.
    """
    origin = "".join(traceback.format_exception(error.__cause__)[-6:]) + "\n" if error.__cause__ else ""
    return f"{origin}{entry_point}: not started.\n{error}\n".encode(errors="backslashreplace")


def _labelled(label: str, text: str) -> str:
    indent = " " * _LABEL_WIDTH
    return textwrap.indent(text.strip() or "-", indent).replace(indent, f"{label + ':':<{_LABEL_WIDTH}}", 1)
