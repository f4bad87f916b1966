"""How text and times become HTML."""

import re
from datetime import datetime, timezone
from html import unescape

import pytest
from hypothesis import given
from hypothesis.strategies import lists, sampled_from, text

from app.text import linkify, time


def linked(note: str) -> list[str]:
    return [unescape(url) for url in re.findall(r'href="([^"]*)"', linkify(note))]


@pytest.mark.parametrize(
    ("note", "urls"),
    [
        ("no address", []),
        ("https://example.com", ["https://example.com"]),
        (
            "HTTP://Example.com/ and http://b.example:8080/x?y=1&z=2#a",
            ["HTTP://Example.com/", "http://b.example:8080/x?y=1&z=2#a"],
        ),
        ("See https://example.com/a. Or https://example.com/b, …", ["https://example.com/a", "https://example.com/b"]),
        ("(https://example.com/a_(b)) [https://example.com]", ["https://example.com/a_(b)", "https://example.com"]),
        ('"https://example.com/"onclick=alert(1)', ["https://example.com/"]),
        ("<https://example.com>", ["https://example.com"]),
        ("javascript://alert(1) data://x xhttps://y //example.com ftp://example.com", []),
        ("https:// http://", []),
    ],
)
def test_addresses_become_links(note, urls):
    """Addresses of the web are links, without the punctuation around them; no other scheme is."""
    assert linked(note) == urls


def test_a_link_vouches_for_nothing():
    """Search engines are told that a user wrote the link, and the other site cannot reach back."""
    assert 'rel="nofollow noopener ugc"' in linkify("https://example.com")


PIECES = ["https://", "http://a.b", "<", ">", '"', "'", "&", "&lt;", " ", "\n", ")", ".", "x", "<script>", "\\", "{{"]


@given(lists(sampled_from(PIECES)).map("".join) | text())
def test_nothing_but_links_is_html(note):
    """Whatever the text: without the links' own tags no tag is left, and the text reads as it was written."""
    html = str(linkify(note))
    bare = re.sub(r'<a href="[^"<>]*" rel="nofollow noopener ugc">|</a>', "", html)
    assert not re.search(r"[<>\"']", bare)
    assert unescape(bare) == note
    for url in linked(note):
        assert re.match(r"https?://[^\s<>\"']+$", url, re.IGNORECASE)


def test_a_time_is_told_to_people_and_machines():
    """A time is readable, and in the form of HTML's <time>."""
    moment = datetime(2026, 11, 5, 7, 8, 9, 10, tzinfo=timezone.utc)
    assert time(moment) == '<time datetime="2026-11-05T07:08:09+00:00">5 Nov 2026, 07:08 UTC</time>'
