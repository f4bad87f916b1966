"""Template filters: links, inline code and timestamps."""

import re
from datetime import datetime, timezone
from html import unescape

import pytest
from hypothesis import given
from hypothesis.strategies import lists, sampled_from, text

from app.template_filters import format_time, inline_code, linkify


def linked_urls(body: str) -> list[str]:
    """Return the targets of the links in linkify(body)."""
    return [unescape(url) for url in re.findall(r'href="([^"]*)"', linkify(body))]


@pytest.mark.parametrize(
    ("body", "urls"),
    [
        ("no URL", []),
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
def test_urls_become_links(body, urls):
    """http and https URLs become links, without the surrounding punctuation. Other schemes do not."""
    assert linked_urls(body) == urls


def test_links_are_untrusted():
    """Links are marked as user-generated for search engines, and do not expose window.opener."""
    assert 'rel="nofollow noopener ugc"' in linkify("https://example.com")


PIECES = ["https://", "http://a.b", "<", ">", '"', "'", "&", "&lt;", " ", "\n", ")", ".", "x", "<script>", "\\", "{{"]


@given(lists(sampled_from(PIECES)).map("".join) | text())
def test_everything_but_links_is_escaped(body):
    """Without the links' own tags, the HTML contains no tags, and unescaped it is the original text."""
    html = str(linkify(body))
    bare = re.sub(r'<a href="[^"<>]*" rel="nofollow noopener ugc">|</a>', "", html)
    assert not re.search(r"[<>\"']", bare)
    assert unescape(bare) == body
    for url in linked_urls(body):
        assert re.match(r"https?://[^\s<>\"']+$", url, re.IGNORECASE)


def test_inline_code_is_escaped():
    """Code spans become <code>. Everything, including their content, is escaped."""
    assert inline_code("a `b<c>` & `d`") == "a <code>b&lt;c&gt;</code> &amp; <code>d</code>"
    assert inline_code("a ` <b>") == "a ` &lt;b&gt;"


@pytest.mark.parametrize("hour", ["00", "07", "12", "14", "23"])
def test_timestamp(hour):
    """A timestamp is a <time> element, readable for users and machines, with hours from 00 to 23."""
    moment = datetime(2026, 11, 5, int(hour), 8, 9, 10, tzinfo=timezone.utc)
    expected = f'<time datetime="2026-11-05T{hour}:08:09+00:00">5 Nov 2026, {hour}:08 UTC</time>'
    assert format_time(moment) == expected
