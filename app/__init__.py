"""The sample app. It knows nothing of the servers and proxies in front of it: that is deploy/'s business."""

from collections.abc import Mapping
from typing import Any

from flask import Flask


def create_app(overrides: Mapping[str, Any] | None = None) -> Flask:
    """Return the app, configured by the environment and then by `overrides` (Flask's own config names).

    Raises config.ConfigError, which says what to type, when the environment cannot be used.
    """
    # Here, not above: who imports a part of the app, as its migrations do, shall not load all of it.
    from apiflask import APIFlask

    from app import (
        account,
        admin,
        api,
        blog,
        bundles,
        config,
        errors,
        extensions,
        forms,
        limits,
        readiness,
        security,
        seed,
    )

    # json_errors=False: APIFlask would answer a browser's 404 in JSON; errors.py knows whom it answers.
    # docs_path=None: APIFlask's page of documentation loads scripts from a CDN, which security.py forbids.
    app = APIFlask(__name__, title="Tripod", version="1", json_errors=False, docs_path=None, spec_path=api.SPEC_PATH)
    config.init_app(app, overrides or {})
    for concern in (forms, extensions, account, limits, api, bundles, security, errors, seed):
        concern.init_app(app)
    for module in (blog, account, admin, api, readiness):
        app.register_blueprint(module.bp)
    return app
