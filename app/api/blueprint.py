"""The blueprint of the API: authentication, rate limits and ETags for all of its views."""

from collections.abc import Callable
from functools import wraps

from apiflask import APIBlueprint, Schema, abort
from flask import Response, g, request
from werkzeug.exceptions import BadRequest

from app import rate_limits
from app.api import auth
from app.database import SAFE_METHODS
from app.extensions import csrf

bp = APIBlueprint("api", __name__, url_prefix="/api/v1", template_folder="templates")
csrf.exempt(bp)  # from Flask-WTF's check of all POST requests; auth.py checks requests with a session cookie
bp.before_request(auth.authenticate)

PRIVATE_PATHS = (f"{bp.url_prefix}/me", f"{bp.url_prefix}/tokens")  # account data, which nobody may store


@bp.before_request
def guard_writes() -> None:
    """Require authentication and the scope `write` for writes, and apply the rate limit."""
    if request.method not in SAFE_METHODS:
        auth.require_user()
        auth.require_scope()
        rate_limits.hit(rate_limits.WRITE_LIMIT, f"user {g.user.id}")


@bp.after_request
def add_etag(response: Response) -> Response:
    """Add an ETag, answer 304 if it matches If-None-Match, and prevent shared caches from storing the response."""
    if response.status_code in (200, 201) and response.is_json:
        response.add_etag()
        response.make_conditional(request)
        response.cache_control.no_cache = True
        response.cache_control.private = True
        response.cache_control.no_store = request.path.startswith(PRIVATE_PATHS)
    return response


def json_input(schema: type[Schema]) -> Callable:
    """Pass the JSON body, validated by `schema`, to a view as `json_data`.

    Other content types are answered with 415, malformed JSON and validation errors with 422.
    """

    def decorate(view: Callable) -> Callable:
        validated_view = bp.input(schema)(view)

        @wraps(validated_view)
        def wrapper(*args, **kwargs):
            try:
                request.get_json()
            except BadRequest:  # malformed, empty or not UTF-8
                abort(422, "Validation error", {"json": ["The request body is not valid JSON in UTF-8."]})
            return validated_view(*args, **kwargs)

        return wrapper

    return decorate
