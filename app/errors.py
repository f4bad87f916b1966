"""Error handling: an HTML page for browsers, JSON below /api/."""

from typing import Any

from apiflask import HTTPError, Schema
from apiflask.fields import Dict, List, String
from flask import Flask, Response, current_app, g, jsonify, render_template, request, session
from flask_login import AnonymousUserMixin
from flask_wtf.csrf import CSRFError
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm.exc import StaleDataError
from werkzeug.exceptions import BadHost, Conflict, HTTPException, InternalServerError, ServiceUnavailable

from app.database import db
from app.database_errors import is_duplicate, is_unavailable, is_wrong_schema

# The explanation on the error page, unless the view passed one to abort(). Other statuses show Werkzeug's description.
EXPLANATIONS = {
    403: "You don't have permission to view this page.",
    404: "This page does not exist. It may have been moved or deleted, or the address is mistyped.",
    405: "This address does not support that kind of request.",
    409: "This has been changed or deleted by another request. Go back and reload the page.",
    413: "The request is too large. Please send less data.",
    415: "This page accepts forms only. Programs can use the API.",
    429: "You have sent too many requests.",
    500: "Something went wrong on our side. The error has been logged. Please try again in a moment.",
    503: "The database is not available at the moment. No saved data is lost. Please try again in a few seconds.",
}

WRONG_SCHEMA = (
    "The database schema does not fit this release.\n"
    "cause: %s\n"
    "fix:   python3 -m app.migrations (./stack up and ./stack release do it)"
)
RETRY_AFTER = 5  # seconds, sent with a 503; the same value as Nginx's (nginx/conf.d/error-texts.conf)


class ErrorOut(Schema):
    """The JSON body of an error, for the OpenAPI description."""

    error = String()
    fields = Dict(keys=String(), values=List(String()), metadata={"description": "Error messages by field."})


def init_app(app: Flask) -> None:
    """Register the error handlers."""
    app.config.update(HTTP_ERROR_SCHEMA=ErrorOut, VALIDATION_ERROR_SCHEMA=ErrorOut)
    app.register_error_handler(HTTPException, http_error)  # includes unhandled exceptions, which Flask turns into 500
    app.register_error_handler(HTTPError, invalid_input)
    app.register_error_handler(SQLAlchemyError, database_error)
    app.register_error_handler(StaleDataError, changed_meanwhile)
    app.register_error_handler(InternalServerError, internal_error)


def http_error(error: HTTPException) -> Response:
    """Return an HTTP error as a page or as JSON, with its headers (for example Allow with a 405)."""
    response = error.get_response()
    if request.path.startswith("/api/"):
        response.data = _json_body(_message(error)).data
        response.mimetype = "application/json"
    elif not isinstance(error, BadHost):  # without a valid host, no page of the app can be rendered: it contains URLs
        response.data = _error_page(error)
        response.mimetype = "text/html"
    return response


def database_error(error: SQLAlchemyError) -> Response:
    """Return 503 if the database is unavailable, and 409 for a duplicate. Other errors stay what they are: a 500."""
    _discard_transaction()
    # error.orig is the driver's message. SQLAlchemy's own message would include the statement and its parameters.
    message = getattr(error, "orig", error)
    if is_unavailable(error):
        current_app.logger.error("Database error: %s", message)
        return http_error(ServiceUnavailable(retry_after=RETRY_AFTER))
    if is_duplicate(error):
        current_app.logger.warning("A concurrent request has stored the same value: %s", message)
        return http_error(Conflict("The same request has just been processed. Please check the result."))
    if is_wrong_schema(error):
        current_app.logger.error(WRONG_SCHEMA, message)
    raise error


def internal_error(error: InternalServerError) -> Response:
    """Return a 500, or what database_error() returns for an error of a commit after the view, as Flask-Security's."""
    _discard_transaction()
    if is_unavailable(error.original_exception) or is_duplicate(error.original_exception):
        return database_error(error.original_exception)
    return http_error(error)


def _discard_transaction() -> None:
    """Undo the request: nothing is committed, and the session cookie stays as it is. The error page shows no user."""
    db.session.rollback()
    session.modified = False
    # Where Flask-Login stores the current user. The page must not load the user, which could fail for the same reason.
    g._login_user = AnonymousUserMixin()


def changed_meanwhile(error: StaleDataError) -> Response:
    """Return 409 if the row that a request changes has been deleted by a concurrent request."""
    db.session.rollback()
    return http_error(Conflict())


def invalid_input(error: HTTPError) -> tuple[Response, int]:
    """Return a validation error as JSON. APIFlask's HTTPError is not a subclass of HTTPException."""
    return _json_body(error.message, fields=_flatten(error.detail)), error.status_code


def _message(error: HTTPException) -> str:
    """Return the description passed to abort(), else the name of the status.

    Werkzeug's default descriptions are written for pages, not for APIs.
    """
    has_default_description = error.description == type(error).description
    return error.name if has_default_description else error.description


def _json_body(message: str, fields: dict[str, list[str]] | None = None) -> Response:
    return jsonify(error=message, fields=fields or {})


def _flatten(detail: dict[str, Any]) -> dict[str, list[str]]:
    """Flatten {"json": {"body": […]}} to {"body": […]}. Errors of no single field get the location as their key."""
    fields = {}
    for location, messages in detail.items():
        if not isinstance(messages, dict):
            messages = {"_schema": messages}
        for name, texts in messages.items():
            key = location if name == "_schema" else name
            fields[key] = texts
    return fields


def _error_page(error: HTTPException) -> str:
    if _message(error) == error.name:
        explanation = EXPLANATIONS.get(error.code, error.description)
    else:
        explanation = error.description
    if isinstance(error, CSRFError):
        explanation += " Go back, reload the page and try again."
    if seconds := getattr(error, "retry_after", None):
        explanation += f" Please try again in {seconds} second{'s' if seconds > 1 else ''}."
    return render_template("error.html", error=error, explanation=explanation, typed=_typed_text())


def _typed_text() -> str:
    """Return the text of a post whose form was rejected, for example because the session has ended."""
    # Werkzeug's cached form. A form that is not parsed yet may be what was rejected.
    return vars(request).get("form", {}).get("body", "")
