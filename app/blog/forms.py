"""The form for posts."""

from flask_wtf import FlaskForm
from wtforms import Field, TextAreaField, ValidationError

from app.blog.models import BODY_MAX, clean_body


class PostForm(FlaskForm):
    """Creates or edits a post. Validation cleans the text, so `body.data` can be stored as it is."""

    # No maxlength attribute: browsers would silently truncate pasted text.
    body = TextAreaField(
        "Your post",
        description=f"Plain text, up to {BODY_MAX} characters.",
        render_kw={"rows": 3, "required": True},
    )

    def validate_body(self, field: Field) -> None:
        """Clean the text. Raises ValidationError if it is invalid."""
        try:
            field.data = clean_body(field.data or "")
        except ValueError as error:
            raise ValidationError(str(error)) from error
