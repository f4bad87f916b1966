"""The sample app: a microblog with accounts, a JSON API and admin pages.

It does not depend on the servers and proxies in front of it. Those are configured in deploy/ and nginx/.
"""

from collections.abc import Mapping
from typing import Any

from flask import Flask


def create_app(overrides: Mapping[str, Any] | None = None) -> Flask:
    """Return the app, configured from the environment and then from `overrides` (Flask's own config names).

    Raises config.ConfigError, which includes the fix, when a setting is missing or invalid.
    """
    # Imported here because importing a part of the app, as app.migrations does, should not load all of it.
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
        rate_limits,
        readiness,
        request_parsing,
        security_headers,
        seed,
        template_filters,
    )

    app = APIFlask(
        __name__,
        title="Tripod",
        version="1",
        spec_path=api.SPEC_PATH,
        json_errors=False,  # Default: True, which answers browsers in JSON too. errors.py chooses HTML or JSON.
        docs_path=None,  # Default: a page that loads scripts from a CDN, which security_headers.py forbids.
    )
    config.init_app(app, overrides or {})

    request_parsing.init_app(app)
    rate_limits.init_app(app)  # before the CSRF protection, which parses the form
    template_filters.init_app(app)
    extensions.init_app(app)
    account.init_app(app)
    api.init_app(app)
    bundles.init_app(app)
    security_headers.init_app(app)
    errors.init_app(app)
    seed.init_app(app)

    app.register_blueprint(blog.bp)
    app.register_blueprint(account.bp)
    app.register_blueprint(admin.bp)
    app.register_blueprint(api.bp)
    app.register_blueprint(readiness.bp)
    return app
