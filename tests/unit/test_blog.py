"""The front page: posts, the form, and what people do to it."""

import re
from datetime import datetime, timezone

import pytest
from hypothesis import given, settings
from hypothesis.strategies import text

from app.blog.models import BODY_MAX, Post, clean_body
from app.extensions import db


def posts_on(page) -> list[str]:
    return re.findall(r'<p class="note-body mb-1">(.*?)</p>', page.text, re.DOTALL)


def test_an_empty_page_invites(client):
    """Without posts the page says so and points at the form."""
    page = client.get("/")
    assert page.status_code == 200
    assert "Nothing here yet" in page.text
    assert 'href="#body"' in page.text


def test_a_note_is_published(client, publish):
    """A good note is answered by 303 See Other, and then stands on the page under a message."""
    response = publish("Hello")
    assert (response.status_code, response.location) == (303, "/")
    page = client.get("/")
    assert posts_on(page) == ["Hello"]
    assert "Your note is published." in page.text
    assert "Your note is published." not in client.get("/").text


def test_text_is_escaped_and_keeps_its_newlines(client, publish):
    """HTML in a note is shown, not run, and a browser's CRLF is stored as one newline."""
    publish("  <script>alert(1)</script>\r\n& two  ")
    assert posts_on(client.get("/")) == ["&lt;script&gt;alert(1)&lt;/script&gt;\n&amp; two"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("", "Write something first."),
        (" \r\n\t ", "Write something first."),
        ("x" * (BODY_MAX + 1), "501 characters long"),
        ("nul \0 byte", "cannot be stored"),
        ("escape \x1b[31m", "cannot be stored"),
        (b"raw \xff byte", "cannot be stored"),
        (b"quoted %FF byte", "cannot be stored"),
        (b"surrogate %ED%A0%80", "cannot be stored"),
    ],
)
def test_a_bad_note_is_refused_at_the_field(client, publish, body, message):
    """A note that cannot be stored gets 422 and a message tied to the field, and nothing is stored."""
    response = publish(body)
    assert response.status_code == 422
    assert re.search(rf'id="body-error"[^>]*>[^<]*{message}', response.text)
    assert 'aria-invalid="true"' in response.text
    assert posts_on(client.get("/")) == []


def test_a_refused_text_is_kept(publish):
    """What was typed stays in the form when it is refused."""
    typed = "too long <&> " * 50
    assert typed.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;") in publish(typed).text


def test_the_longest_note_fits(client, publish):
    """500 characters are accepted, counted as characters and not as bytes."""
    assert publish("é" * BODY_MAX).status_code == 303
    assert posts_on(client.get("/")) == ["é" * BODY_MAX]


def test_newest_first_twenty_a_page(client, add_posts):
    """25 posts fill two pages, the newest first, with links between them."""
    add_posts(25)
    first, second = client.get("/"), client.get("/?page=2")
    assert posts_on(first) == [f"post {n}" for n in range(25, 5, -1)]
    assert posts_on(second) == [f"post {n}" for n in range(5, 0, -1)]
    assert 'rel="next" href="/?page=2"' in first.text
    assert 'rel="prev" href="/?page=1"' in second.text


def test_posts_of_one_moment_keep_their_order(app, client):
    """Posts with the same time are ordered by id: none is shown on two pages, or on none."""
    with app.app_context():
        moment = datetime(2026, 1, 1, tzinfo=timezone.utc)
        db.session.add_all(Post(body=str(number), created_at=moment) for number in range(25))
        db.session.commit()
    shown = posts_on(client.get("/")) + posts_on(client.get("/?page=2"))
    assert shown == [str(number) for number in range(24, -1, -1)]


@pytest.mark.parametrize("page", ["3", "99999999999999999999999", "1000000000"])
def test_a_page_beyond_the_last_shows_the_last(client, add_posts, page):
    """A page number that is too high shows the last page."""
    add_posts(21)
    assert posts_on(client.get(f"/?page={page}")) == ["post 1"]


@pytest.mark.parametrize("page", ["", "x", "0", "-1", "1.5", "9" * 5000, "%FF"])
def test_a_page_that_is_no_number_shows_the_first(client, add_posts, page):
    """A page number that makes no sense shows the first page."""
    add_posts(1)
    assert posts_on(client.get(f"/?page={page}")) == ["post 1"]


def test_a_form_without_its_token_is_refused(client):
    """Another site cannot post for a visitor: without the token there is a styled 400 with advice."""
    response = client.post("/", data={"body": "forged"})
    assert response.status_code == 400
    assert "CSRF token is missing" in response.text
    assert "reload the page" in response.text
    assert posts_on(client.get("/")) == []


def test_a_secure_form_needs_its_own_site_as_referrer(client, publish):
    """Over https a form that comes from another site is refused even with a token."""
    assert publish("x", base_url="https://localhost").status_code == 400


@pytest.mark.parametrize("typed", ["a\x00b", "a\x85b", "\x1f", "\ud800", "\ufffd", "\x7f"])
def test_no_control_character_passes(typed):
    """No control character but newline and tab, lone surrogate or replacement character is ever stored."""
    with pytest.raises(ValueError, match="cannot be stored"):
        clean_body(typed)


@settings(max_examples=50)
@given(text(max_size=BODY_MAX + 50))
def test_what_passes_can_be_stored(typed):
    """Whatever is typed is refused with a reason, or becomes text that the database and UTF-8 can hold."""
    try:
        body = clean_body(typed)
    except ValueError as error:
        assert str(error).endswith(".")
        return
    assert 1 <= len(body) <= BODY_MAX
    assert body.encode()
    assert "\0" not in body and "\r" not in body
    assert clean_body(body) == body


def test_plain_text_of_any_script_passes():
    """Tabs, newlines, emoji and every script are plain text."""
    assert clean_body("\tTab\r\n日本語\rعربى 👩‍👩‍👧 ") == "Tab\n日本語\nعربى 👩‍👩‍👧"
