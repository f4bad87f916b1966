"""What the API takes and gives, as marshmallow schemas; the OpenAPI description is made from them.

APIFlask goes through the addresses from the shortest to the longest, and describes a schema twice that it meets inside
another one first: so the view that gives one stands before the view that lists them.
"""

from apiflask import Schema
from apiflask.fields import Boolean, DateTime, Integer, List, Nested, String
from apiflask.validators import Length, Range
from marshmallow import ValidationError

from app.blog.models import BODY_MAX, clean_body
from app.database import ID_MAX
from app.paging import PER_PAGE
from app.text import NOT_PLAIN

MOMENT = {"description": "UTC"}


class PostBody(String):
    """The text of a post, cleaned and checked by the model's own rule."""

    def _deserialize(self, value, attr, data, **kwargs) -> str:
        try:
            return clean_body(super()._deserialize(value, attr, data, **kwargs))
        except ValueError as error:
            raise ValidationError(str(error)) from error


def plain(text: str) -> None:
    """Raises ValidationError if no database could store, or look for, this text."""
    if NOT_PLAIN.search(text):
        raise ValidationError("This text contains characters that cannot be stored.")


class PostIn(Schema):
    """What makes a post."""

    body = PostBody(required=True, metadata={"minLength": 1, "maxLength": BODY_MAX})


class PostOut(Schema):
    """A post."""

    id = Integer()
    body = String()
    author = String(attribute="author.username")
    created_at = DateTime(metadata=MOMENT)
    updated_at = DateTime(allow_none=True, metadata=MOMENT)


class PageIn(Schema):
    """Which part of a list is wanted."""

    before = Integer(validate=Range(1, ID_MAX), metadata={"description": "The `older` of the part before this one."})
    limit = Integer(load_default=PER_PAGE, validate=Range(1, 100))


class SearchIn(PageIn):
    """Which of all posts are wanted."""

    author = String(validate=Length(1, 30), metadata={"description": "A username."})
    search = String(validate=[Length(1, 100), plain], metadata={"description": "Text, in lower or upper case."})


class PageOut(Schema):
    """A part of a list, newest first; the header `Link` has the address of the next (`rel="next"`), if any."""

    older = Integer(allow_none=True, metadata={"description": "The `before` of the next part; null at the end."})


class PostsOut(PageOut):
    """A part of a timeline."""

    posts = List(Nested(PostOut), attribute="items")


class UserOut(Schema):
    """A person. All but the first two is only told to that person, by /me."""

    username = String()
    created_at = DateTime(metadata=MOMENT)
    email = String(attribute="own.email")
    is_admin = Boolean(attribute="own.is_admin")
    login_count = Integer(attribute="own.login_count", allow_none=True)
    last_login_at = DateTime(attribute="own.last_login_at", allow_none=True, metadata=MOMENT)
    last_login_ip = String(attribute="own.last_login_ip", allow_none=True)


class UsersOut(PageOut):
    """A part of all people."""

    users = List(Nested(UserOut), attribute="items")


class TokenIn(Schema):
    """What makes a token."""

    name = String(required=True, validate=[Length(1, 80), plain])


class TokenOut(Schema):
    """A token. Its text is not stored, and only told when it is made."""

    id = Integer()
    name = String()
    created_at = DateTime(metadata=MOMENT)
    last_used_at = DateTime(allow_none=True, metadata=MOMENT)
    token = String(attribute="plain_text")


class TokensOut(Schema):
    """All tokens of a user, the newest first."""

    tokens = List(Nested(TokenOut))
