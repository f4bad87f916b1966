"""The WSGI application that every server imports: the app of WSGI_APP, wrapped in the middleware."""

import gc
import importlib
import os
from collections.abc import Callable
from typing import Any

from deploy import app_process, logs, middleware, raw_output
from deploy.errors import StackError, not_started
from deploy.settings import load_settings, setting_error


def load_app(spec: str) -> Callable[..., Any]:
    """Import the WSGI callable of `module:callable` or `module:factory()`.

    Raises StackError for any exception of the import, which is its cause.
    """
    try:
        return _import(spec)
    except BaseException as error:
        raise setting_error(
            "WSGI_APP",
            f"{spec} cannot be loaded: {type(error).__name__}: {error}",
            "the traceback above ends where the import failed",
            "correct the app, or set WSGI_APP=module:callable",
        ) from error


def _import(spec: str) -> Callable[..., Any]:
    module, _, name = spec.partition(":")
    app: Any = importlib.import_module(module)
    for part in name.removesuffix("()").split("."):
        app = getattr(app, part)
    if name.endswith("()"):
        app = app()
    if not callable(app):
        raise TypeError(f"{spec} is of type {type(app).__name__}, which is not callable")
    return app


def wrapped_app(settings: dict[str, str]) -> Callable[..., Any]:
    """The app, wrapped in the middleware.

    With PRELOAD the server's first process loads the app, and exits here with EXIT_CONFIG if that fails. (uWSGI would
    exit with a status of its own.)
    """
    try:
        return middleware.wrap(load_app(settings["WSGI_APP"]), settings)
    except StackError as error:
        if settings["PRELOAD"] == "off":
            raise
        raw_output.write(logs.log_file_descriptor(), not_started("deploy/start", error))
        os._exit(error.status)


# The objects of the app live as long as the process. The garbage collector does not run while they are created, which
# saves an eighth of the loading time, and freezing excludes them from later runs. With PRELOAD such a run would also
# write to every object, and so copy the memory that the worker processes share.
gc.disable()
settings = load_settings(os.environ)
app_process.restore()
logs.configure(settings["LOG_LEVEL"])
application = wrapped_app(settings)
gc.freeze()
gc.enable()
