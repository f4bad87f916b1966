"""Conditional writes with If-Match: answered with 412 if the resource has changed (RFC 9110, section 13.1.1)."""

from apiflask import Schema
from flask import jsonify, request
from werkzeug.exceptions import PreconditionFailed
from werkzeug.http import generate_etag

PRECONDITION_FAILED = "Precondition failed: the resource has changed (`If-Match`)"


def require_match(schema: Schema, resource: object) -> None:
    """Raise PreconditionFailed if the request has an If-Match header without the current ETag of `resource`.

    The row of `resource` must be locked already. Otherwise, another request could change it after this check.
    """
    if not request.if_match:
        return
    current_etag = generate_etag(jsonify(schema.dump(resource)).data)
    if current_etag not in request.if_match:
        raise PreconditionFailed("The resource has changed. Fetch it again.")
