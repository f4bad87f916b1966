"""What people write: which characters it may have; and how that, and a time, become HTML."""

import re
from datetime import datetime

from markupsafe import Markup, escape
from wtforms import Field, Form, ValidationError

# Control characters but tab and newline (PostgreSQL cannot store NUL), lone surrogates (UTF-8 has none), and
# U+FFFD, to which bytes that are not UTF-8 have been decoded.
NOT_PLAIN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffd]")

URL = re.compile(r"\bhttps?://(?=\w)[^\s<>\"']+", re.IGNORECASE)
CLOSING = {")": "(", "]": "[", "}": "{"}
LINK = Markup('<a href="{0}" rel="nofollow noopener ugc">{0}</a>')


def plain_text(form: Form, field: Field) -> None:
    """Strip a field of WTForms, and refuse what cannot be stored."""
    field.data = (field.data or "").strip()
    if NOT_PLAIN.search(field.data):
        raise ValidationError("This text contains characters that cannot be stored.")


def linkify(text: str) -> Markup:
    """Return `text` as HTML: web addresses are links, everything else is escaped."""
    if "://" not in text:
        return escape(text)
    html, end = [], 0
    for match in URL.finditer(text):
        url = _without_punctuation(match[0])
        html += escape(text[end : match.start()]), LINK.format(url)
        end = match.start() + len(url)
    return Markup("").join([*html, escape(text[end:])])


def time(moment: datetime) -> Markup:
    """Return a moment in UTC as HTML that tells it to people and to machines."""
    return Markup(f'<time datetime="{moment.isoformat("T", "seconds")}">{moment:%-d %b %Y, %H:%M} UTC</time>')


def _without_punctuation(url: str) -> str:
    """Cut off what belongs to the sentence around: its full stop, or a bracket that was opened before."""
    while url[-1] in ".,;:!?*_" or (url[-1] in CLOSING and url.count(url[-1]) > url.count(CLOSING[url[-1]])):
        url = url[:-1]
    return url
