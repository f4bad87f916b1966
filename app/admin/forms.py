"""The one form of the admins."""

from flask_wtf import FlaskForm
from wtforms import StringField
from wtforms.validators import Length

from app.text import plain_text


class NoteForm(FlaskForm):
    """Why something is done, for the record."""

    note = StringField("Reason, for the record", validators=[plain_text, Length(max=200)])
