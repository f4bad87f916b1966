"""Every error has one answer: a page for people, JSON below /api/."""

from typing import Any

from apiflask import HTTPError, Schema
from apiflask.fields import Dict, List, String
from flask import Flask, Response, current_app, g, jsonify, render_template, request
from flask_login import AnonymousUserMixin
from flask_wtf.csrf import CSRFError
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, TimeoutError
from werkzeug.exceptions import HTTPException, ServiceUnavailable

# What a person can do about it, unless whoever raised the error says more. Others show Werkzeug's description.
ADVICE = {
    403: "This page is not for your account.",
    404: "There is nothing at this address. It may have moved, or have been mistyped.",
    405: "This address does not take that kind of request.",
    413: "That is more than we accept in one go. Please send less.",
    429: "That was too often in a short time.",
    500: "Something went wrong on our side. It has been noted; please try again in a moment.",
    503: "Our database does not answer just now. Nothing that was saved is lost; please try again in a few seconds.",
}

RETRY_AFTER = 5  # seconds, with a 503; as Nginx says it (nginx/conf.d/error-texts.conf)


class ErrorOut(Schema):
    """An error as the API tells it; for the OpenAPI description."""

    error = String()
    fields = Dict(keys=String(), values=List(String()), metadata={"description": "field → what is wrong"})


def init_app(app: Flask) -> None:
    """Answer all errors of `app`. HTTPException covers a crash too, which Flask turns into a 500."""
    app.config.update(HTTP_ERROR_SCHEMA=ErrorOut, VALIDATION_ERROR_SCHEMA=ErrorOut)
    app.register_error_handler(HTTPException, http_error)
    app.register_error_handler(HTTPError, invalid_input)
    for away in (OperationalError, InterfaceError, TimeoutError):
        app.register_error_handler(away, database_away)


def http_error(error: HTTPException) -> Response:
    """Return the page or the JSON for an HTTP error, and keep its headers (such as Allow of a 405)."""
    response = error.get_response()
    if request.path.startswith("/api/"):
        response.data, response.mimetype = _json(_reason(error)).data, "application/json"
    else:
        response.data, response.mimetype = _page(error), "text/html"
    return response


def database_away(error: DBAPIError | TimeoutError) -> Response:
    """Return 503: the database is gone, hangs, is locked or full. A person has to do nothing but wait."""
    # Without the statement and its values, which SQLAlchemy would add.
    current_app.logger.error("the database failed: %s", getattr(error, "orig", error))
    # Where Flask-Login keeps who asks. The page names them, for which it would have to ask the database again.
    g._login_user = AnonymousUserMixin()
    return http_error(ServiceUnavailable(retry_after=RETRY_AFTER))


def invalid_input(error: HTTPError) -> tuple[Response, int]:
    """Return the JSON for input that a schema refused; APIFlask's own exception, no HTTPException."""
    return _json(error.message, fields=_fields(error.detail)), error.status_code


def _reason(error: HTTPException) -> str:
    """Return what whoever raised `error` has to say, else its plain name; Werkzeug's own texts are for people."""
    return error.name if error.description == type(error).description else error.description


def _json(message: str, fields: dict[str, list[str]] | None = None) -> Response:
    return jsonify(error=message, fields=fields or {})


def _fields(detail: dict[str, Any]) -> dict[str, list[str]]:
    """Flatten {"json": {"body": […]}} to {"body": […]}; what concerns no field goes by the location."""
    flat = {}
    for location, messages in detail.items():
        named = messages if isinstance(messages, dict) else {"_schema": messages}
        flat |= {location if name == "_schema" else name: texts for name, texts in named.items()}
    return flat


def _page(error: HTTPException) -> str:
    advice = ADVICE.get(error.code, error.description) if _reason(error) == error.name else error.description
    if isinstance(error, CSRFError):
        advice += " Go back, reload the page and try again."
    if wait := getattr(error, "retry_after", None):
        advice += f" Please wait {wait} second{'s' if wait > 1 else ''}, then try again."
    return render_template("error.html", error=error, advice=advice)
