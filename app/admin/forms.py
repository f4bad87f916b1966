"""The one form of the admins."""

from flask_wtf import FlaskForm
from wtforms import Field, StringField, ValidationError
from wtforms.validators import Length

from app.text import NOT_PLAIN

NOTE_MAX = 200


class NoteForm(FlaskForm):
    """Why something is done, for the record."""

    note = StringField("Reason, for the record", validators=[Length(max=NOTE_MAX)])

    def validate_note(self, field: Field) -> None:
        field.data = (field.data or "").strip()
        if NOT_PLAIN.search(field.data):
            raise ValidationError("A reason is plain text.")
