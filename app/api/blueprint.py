"""What holds for every address of the API."""

from collections.abc import Callable
from functools import wraps

from apiflask import APIBlueprint, Schema, abort
from flask import Response, g, request
from werkzeug.exceptions import BadRequest

from app import limits
from app.api import auth
from app.database import SAFE_METHODS
from app.extensions import csrf

bp = APIBlueprint("api", __name__, url_prefix="/api/v1", template_folder="templates")
csrf.exempt(bp)  # from the check of all forms: auth.py has its own, for those who come by the session's cookie
bp.before_request(auth.authenticate)


@bp.before_request
def guard_writes() -> None:
    """Let nobody write who has not said who they are, nor more often than is reasonable."""
    if request.method not in SAFE_METHODS:
        auth.require_user()
        limits.spend(limits.WRITES, f"user {g.user.id}")


@bp.after_request
def validate_later(response: Response) -> Response:
    """Give what was read an ETag, and 304 to who has it already (If-None-Match); no cache may share it."""
    if response.status_code in (200, 201) and response.is_json:
        response.add_etag()
        response.make_conditional(request)
        response.cache_control.no_cache = response.cache_control.private = True
    return response


def takes(schema: type[Schema]) -> Callable:
    """Decorate a view that takes JSON: refuse what is none by its type (415) or its text (422), then by `schema`."""

    def decorate(view: Callable) -> Callable:
        view = bp.input(schema)(view)

        @wraps(view)
        def checked(*args, **kwargs):
            try:
                request.get_json()
            except BadRequest:  # broken, empty, not UTF-8
                abort(422, "Validation error", {"json": ["This is not valid JSON in UTF-8."]})
            return view(*args, **kwargs)

        return checked

    return decorate
