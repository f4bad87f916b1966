"""Template filters that turn text and timestamps into HTML."""

import re
from datetime import datetime

from flask import Flask
from markupsafe import Markup, escape

URL = re.compile(r"\bhttps?://(?=\w)[^\s<>\"']+", re.IGNORECASE)
LINK = Markup('<a href="{0}" rel="nofollow noopener ugc">{0}</a>')
CODE_SPAN = re.compile(r"`([^`]+)`")
PUNCTUATION = ".,;:!?*_"
OPENING_BRACKETS = {")": "(", "]": "[", "}": "{"}


def init_app(app: Flask) -> None:
    """Register the filters."""
    app.add_template_filter(linkify)
    app.add_template_filter(inline_code)
    app.add_template_filter(format_time, "time")


def linkify(text: str) -> Markup:
    """Return `text` as HTML: URLs become links, everything else is escaped."""
    if "://" not in text:
        return escape(text)
    parts = []
    end = 0
    for match in URL.finditer(text):
        url = _strip_punctuation(match[0])
        parts.append(escape(text[end : match.start()]))
        parts.append(LINK.format(url))
        end = match.start() + len(url)
    parts.append(escape(text[end:]))
    return Markup("").join(parts)


def inline_code(text: str) -> Markup:
    """Return CommonMark text as HTML: code spans in backticks become <code>, everything else is escaped."""
    return Markup(CODE_SPAN.sub(r"<code>\1</code>", str(escape(text))))


def format_time(moment: datetime) -> Markup:
    """Return a UTC timestamp as an HTML <time> element."""
    machine_readable = moment.isoformat("T", "seconds")
    return Markup(f'<time datetime="{machine_readable}">{moment:%-d %b %Y, %H:%M} UTC</time>')


def _strip_punctuation(url: str) -> str:
    """Remove trailing punctuation of the surrounding sentence, and closing brackets that the URL does not open."""
    while url[-1] in PUNCTUATION or _is_unmatched_bracket(url):
        url = url[:-1]
    return url


def _is_unmatched_bracket(url: str) -> bool:
    """Return whether `url` ends with a closing bracket that has no opening bracket in `url`."""
    last = url[-1]
    return last in OPENING_BRACKETS and url.count(last) > url.count(OPENING_BRACKETS[last])
