"""The one name that every server imports: the app of WSGI_APP inside the middleware that makes the servers alike."""

import importlib
import logging.config
import os
from collections.abc import Callable
from typing import Any

from deploy import contract, logs, middleware


def load_app(spec: str) -> Callable[..., Any]:
    """The WSGI callable that `module:callable` or `module:factory()` names; TypeError if it is not callable."""
    module, _, name = spec.partition(":")
    app: Any = importlib.import_module(module)
    for part in name.removesuffix("()").split("."):
        app = getattr(app, part)
    if name.endswith("()"):
        app = app()
    if not callable(app):
        raise TypeError(f"{spec} is a {type(app).__name__}, not something that can be called")
    return app


settings = contract.load(os.environ)
logging.config.dictConfig(logs.config(settings["LOG_LEVEL"]))
application = middleware.wrap(load_app(settings["WSGI_APP"]), settings)
logs.capture_prints()
