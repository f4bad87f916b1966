"""The marshmallow schemas of requests and responses. APIFlask generates the OpenAPI description from them.

APIFlask processes the views by URL, shortest first, and describes a schema twice if it meets the schema nested in
another one first. A view that returns a single resource must therefore be defined before the view that lists them.
"""

from apiflask import Schema
from apiflask.fields import Boolean, DateTime, Integer, List, Nested, String
from apiflask.validators import Length, OneOf, Range
from marshmallow import ValidationError

from app.account.models import MAX_TOKEN_DAYS, READ, TOKEN_DAYS, WRITE
from app.blog.models import BODY_MAX, clean_body
from app.database import ID_MAX
from app.pagination import PER_PAGE
from app.validation import FORBIDDEN_CHARACTERS, FORBIDDEN_CHARACTERS_MESSAGE

UTC = {"description": "In UTC."}


class PostBody(String):
    """The text of a post, cleaned and validated by the rules of the model."""

    def _deserialize(self, value, attr, data, **kwargs) -> str:
        text = super()._deserialize(value, attr, data, **kwargs)
        try:
            return clean_body(text)
        except ValueError as error:
            raise ValidationError(str(error)) from error


def validate_characters(text: str) -> None:
    """Raise ValidationError if `text` contains characters that the database cannot store or search for."""
    if FORBIDDEN_CHARACTERS.search(text):
        raise ValidationError(FORBIDDEN_CHARACTERS_MESSAGE)


class PostIn(Schema):
    """A new or edited post."""

    body = PostBody(required=True, metadata={"minLength": 1, "maxLength": BODY_MAX})


class PostOut(Schema):
    """A post."""

    id = Integer()
    body = String()
    author = String(attribute="author.username", metadata={"description": "The author's username."})
    created_at = DateTime(metadata=UTC)
    updated_at = DateTime(allow_none=True, metadata=UTC)


class PageIn(Schema):
    """The requested page of a list."""

    before = Integer(
        validate=Range(1, ID_MAX), metadata={"description": "The value of `older` from the previous page."}
    )
    limit = Integer(
        load_default=PER_PAGE, validate=Range(1, 100), metadata={"description": "The maximum number of items."}
    )


class SearchIn(PageIn):
    """The requested page of a list of posts, with filters."""

    author = String(validate=Length(1, 30), metadata={"description": "A username."})
    search = String(
        validate=[Length(1, 100), validate_characters],
        metadata={"description": "Text that the posts contain. Case is ignored."},
    )


class PageOut(Schema):
    """A page of a list, newest first. The header `Link` contains the URL of the next page (`rel="next"`)."""

    older = Integer(
        allow_none=True, metadata={"description": "The value of `before` for the next page; null on the last page."}
    )


class PostsOut(PageOut):
    """A page of a list of posts."""

    posts = List(Nested(PostOut), attribute="items")


class UserOut(Schema):
    """A user. Only /me includes the private fields, which are all except the first two."""

    username = String()
    created_at = DateTime(metadata=UTC)
    email = String(attribute="own.email")
    is_admin = Boolean(attribute="own.is_admin")
    login_count = Integer(attribute="own.login_count", allow_none=True)
    last_login_at = DateTime(attribute="own.last_login_at", allow_none=True, metadata=UTC)
    last_login_ip = String(attribute="own.last_login_ip", allow_none=True)


class UsersOut(PageOut):
    """A page of a list of users."""

    users = List(Nested(UserOut), attribute="items")


class TokenIn(Schema):
    """A new token."""

    name = String(required=True, validate=[Length(1, 80), validate_characters])
    scope = String(
        load_default=WRITE, validate=OneOf([READ, WRITE]), metadata={"description": "`write` includes `read`."}
    )
    days = Integer(
        load_default=TOKEN_DAYS,
        validate=Range(1, MAX_TOKEN_DAYS),
        metadata={"description": "Days until the token expires."},
    )


class TokenOut(Schema):
    """A token. `token`, its plain text, is only included when the token is created."""

    id = Integer()
    name = String()
    scope = String(metadata={"description": "`read` or `write`."})
    created_at = DateTime(metadata=UTC)
    expires_at = DateTime(allow_none=True, metadata=UTC)
    last_used_at = DateTime(allow_none=True, metadata=UTC)
    token = String(attribute="plain_text")


class TokensOut(PageOut):
    """A page of a user's tokens."""

    tokens = List(Nested(TokenOut), attribute="items")
