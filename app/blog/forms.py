"""The forms of the blog."""

from flask_wtf import FlaskForm
from wtforms import Field, TextAreaField, ValidationError

from app.blog.models import BODY_MAX, clean_body


class PostForm(FlaskForm):
    """Writes or edits a post. The text is cleaned on the way, so `body.data` is what may be stored."""

    # No maxlength: a browser would cut off what is pasted, and say nothing.
    body = TextAreaField(
        "Your note",
        description=f"Plain text, up to {BODY_MAX} characters.",
        render_kw={"rows": 3, "required": True},
    )

    def validate_body(self, field: Field) -> None:
        try:
            field.data = clean_body(field.data or "")
        except ValueError as error:
            raise ValidationError(str(error)) from error
