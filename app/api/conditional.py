"""A change that must hit what its sender has read: If-Match, and 412 if it is another by now."""

from apiflask import Schema
from flask import jsonify, request
from werkzeug.exceptions import PreconditionFailed
from werkzeug.http import generate_etag

CHANGED = "Changed in between (If-Match)"


def require_match(schema: Schema, thing: object) -> None:
    """Raises PreconditionFailed if the request has an If-Match, and no ETag in it is that of `thing` as it is now.

    `thing` must be locked already, else another request could change it after this has looked.
    """
    if request.if_match and generate_etag(jsonify(schema.dump(thing)).data) not in request.if_match:
        raise PreconditionFailed("This has been changed in between. Read it again.")
