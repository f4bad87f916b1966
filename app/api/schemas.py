"""What the API takes and gives, as marshmallow schemas; the OpenAPI description is made from them."""

from apiflask import Schema
from apiflask.fields import DateTime, Integer, List, Nested, String
from apiflask.validators import Range
from marshmallow import ValidationError

from app.blog.models import BODY_MAX, clean_body
from app.database import ID_MAX
from app.paging import PER_PAGE


class PostBody(String):
    """The text of a post, cleaned and checked by the model's own rule."""

    def _deserialize(self, value, attr, data, **kwargs) -> str:
        try:
            return clean_body(super()._deserialize(value, attr, data, **kwargs))
        except ValueError as error:
            raise ValidationError(str(error)) from error


class PostIn(Schema):
    """What makes a post."""

    body = PostBody(required=True, metadata={"minLength": 1, "maxLength": BODY_MAX})


class PostOut(Schema):
    """A post as the API shows it."""

    id = Integer()
    body = String()
    created_at = DateTime(metadata={"description": "UTC"})


class PageIn(Schema):
    """Which part of the timeline is wanted."""

    before = Integer(validate=Range(1, ID_MAX))
    limit = Integer(load_default=PER_PAGE, validate=Range(1, 100))


class PageOut(Schema):
    """A part of the timeline; `older` is the `before` of the next, null at the end."""

    posts = List(Nested(PostOut), attribute="items")
    older = Integer(allow_none=True)
