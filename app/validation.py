"""Validation of text that users submit."""

import re

from wtforms import Field, Form, ValidationError

# Control characters except tab and newline (PostgreSQL cannot store NUL), lone surrogates (not encodable in UTF-8),
# U+FFFD, which replaces bytes that are not valid UTF-8 (request_parsing.py), and characters that reverse the text after
# them, so that a link shows another address than it has (Trojan Source, CVE-2021-42574).
FORBIDDEN_CHARACTERS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffd]")
FORBIDDEN_CHARACTERS_MESSAGE = "This text contains characters that cannot be stored."

# Characters without a glyph: Unicode's Default_Ignorable_Code_Point, and the blank braille pattern. Emoji and some
# scripts need them within a text, but a text of nothing else looks empty.
# https://www.unicode.org/Public/UCD/latest/ucd/DerivedCoreProperties.txt
INVISIBLE_TEXT = re.compile(
    r"[\s\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u2800\u3164"
    r"\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]*"
)


def is_visible(text: str) -> bool:
    """Return whether `text` contains a character that a reader can see."""
    return not INVISIBLE_TEXT.fullmatch(text)


def validate_plain_text(form: Form, field: Field) -> None:
    """Strip the value of a WTForms field, and reject characters that cannot be stored. Invisible text is empty."""
    field.data = (field.data or "").strip()
    if not is_visible(field.data):
        field.data = ""
    if FORBIDDEN_CHARACTERS.search(field.data):
        raise ValidationError(FORBIDDEN_CHARACTERS_MESSAGE)
