"""Validation of text that users submit."""

import re

from wtforms import Field, Form, ValidationError

# Control characters except tab and newline (PostgreSQL cannot store NUL), lone surrogates (not encodable in UTF-8), and
# U+FFFD, which replaces bytes that are not valid UTF-8 (request_parsing.py).
FORBIDDEN_CHARACTERS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffd]")
FORBIDDEN_CHARACTERS_MESSAGE = "This text contains characters that cannot be stored."


def validate_plain_text(form: Form, field: Field) -> None:
    """Strip the value of a WTForms field and reject characters that cannot be stored."""
    field.data = (field.data or "").strip()
    if FORBIDDEN_CHARACTERS.search(field.data):
        raise ValidationError(FORBIDDEN_CHARACTERS_MESSAGE)
