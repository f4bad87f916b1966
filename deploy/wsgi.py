"""The one name that every server imports: the app of WSGI_APP inside the middleware that makes the servers alike."""

import gc
import importlib
import logging.config
import os
import traceback
from collections.abc import Callable
from typing import Any

from deploy import logs, middleware
from deploy.errors import EXIT_CONFIG, StackError
from deploy.settings import load_settings, setting_error


def load_app(spec: str) -> Callable[..., Any]:
    """The WSGI callable that `module:callable` or `module:factory()` names.

    StackError, after the traceback's last lines in the log, whatever the import raised.
    """
    try:
        return _import(spec)
    except BaseException as error:
        with open(logs.log_file_descriptor(), "w", closefd=False) as log:
            print("".join(traceback.format_exception(error)[-6:]), file=log)
        raise setting_error(
            "WSGI_APP",
            f"{spec} cannot be loaded: {type(error).__name__}: {error}",
            "without it every request would be answered with an error",
            "mend what the last lines of the traceback above name, or set WSGI_APP=module:callable",
        ) from None


def _import(spec: str) -> Callable[..., Any]:
    module, _, name = spec.partition(":")
    app: Any = importlib.import_module(module)
    for part in name.removesuffix("()").split("."):
        app = getattr(app, part)
    if name.endswith("()"):
        app = app()
    if not callable(app):
        raise TypeError(f"{spec} is a {type(app).__name__}, not something that can be called")
    return app


def wrapped_app(settings: dict[str, str]) -> Callable[..., Any]:
    """The app inside the middleware. With PRELOAD a server's first process ends here if the app can't be loaded: by
    itself uWSGI's would end with a status of its own.
    """
    try:
        return middleware.wrap(load_app(settings["WSGI_APP"]), settings)
    except StackError as error:
        if settings["PRELOAD"] == "off":
            raise
        with open(logs.log_file_descriptor(), "w", closefd=False) as log:
            print(f"deploy/start: not started.\n{error}", file=log)
        os._exit(EXIT_CONFIG)


# What an app is made of stays: the garbage collector looks neither while it is made, an eighth of the time that loading
# takes, nor ever again. With PRELOAD it would also write to every object, and so undo that the processes share them.
gc.disable()
settings = load_settings(os.environ)
logging.config.dictConfig(logs.config(settings["LOG_LEVEL"]))
logs.capture_prints()
application = wrapped_app(settings)
gc.freeze()
gc.enable()
