"""The form for admin actions."""

from flask_wtf import FlaskForm
from wtforms import StringField
from wtforms.validators import Length

from app.validation import validate_plain_text


class ReasonForm(FlaskForm):
    """The reason for an action, which is recorded."""

    reason = StringField("Reason (will be recorded)", validators=[validate_plain_text, Length(max=200)])
