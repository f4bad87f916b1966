"""The pages of the blog: timelines, notes, the people who write them, and who may do what."""

import re

import pytest
from flask import Response, flash, get_flashed_messages, session
from hypothesis import given, settings
from hypothesis.strategies import text
from sqlalchemy import event

from app.blog.models import BODY_MAX, Follow, Post, clean_body
from app.blog.views import FOR_STRANGERS, mark_for_caches
from app.database import db, utc_now
from tests.unit.app.web import PASSWORD, bodies, csrf_token, messages, submit


@pytest.fixture
def statements(app):
    """Return the list that every SQL statement is added to, but for the begin of a transaction."""
    found = []

    def note(connection, cursor, statement, *arguments):
        if not statement.startswith("BEGIN"):
            found.append(statement)

    with app.app_context():
        event.listen(db.engine, "before_cursor_execute", note)
    return found


def test_an_empty_page_invites(client, log_in_as):
    """Without notes the page says so, shows the way to the first one and how to get demo data."""
    page = client.get("/")
    assert page.status_code == 200
    assert "Nothing here yet" in page.text
    assert 'href="/register"' in page.text
    assert "./stack flask seed" in page.text
    assert 'href="#body"' in log_in_as("ann").get("/").text


def test_a_stranger_gets_no_form(client, add_posts):
    """Only who is logged in can write; a stranger's form is answered with the log-in page."""
    add_posts(1)
    assert "<textarea" not in client.get("/").text
    client.get("/login")
    response = submit(client, "/", "/login", body="x")
    assert (response.status_code, response.location) == (302, "/login?next=/")
    assert bodies(client.get("/")) == ["post 1"]


def test_a_strangers_timeline_sets_no_cookie(client, add_posts):
    """What strangers see is marked for a cache: no cookie, no CSRF token, and it varies by the cookie."""
    add_posts(60)
    for path in ("/", "/?before=5", "/users/author", "/posts/3", "/search?q=post"):
        response = client.get(path)
        assert response.status_code == 200
        assert "Set-Cookie" not in response.headers
        assert "csrf" not in response.text
        assert response.headers["Vary"] == "Cookie"
        assert response.headers["Cache-Control"] == FOR_STRANGERS


@pytest.mark.parametrize("path", ["/users/nobody", "/posts/999", "/login", "/following", "/healthz"])
def test_what_is_no_page_for_strangers_is_not_marked(client, path):
    """Errors, redirects and forms are made anew for everybody."""
    assert "public" not in client.get(path).headers.get("Cache-Control", "")


def test_a_page_with_a_message_that_was_all_of_a_session_is_not_marked(app):
    """Nor is a page that has used up all that the session had."""
    with app.test_request_context("/"):
        flash("Only for you.")
        assert get_flashed_messages() and not session
        assert "Cache-Control" not in mark_for_caches(Response()).headers


def test_a_page_with_a_message_is_not_marked(log_in_as):
    """What is said once, to somebody who is logged out, is in no cache; nor is anything while there is a session."""
    browser = log_in_as("ann")
    submit(browser, "/account/deactivate", password=PASSWORD)
    goodbye, after = browser.get("/"), browser.get("/")
    assert (messages(goodbye), messages(after)) == (["Your account is closed. Goodbye."], [])
    assert "Cache-Control" not in goodbye.headers
    assert "Cache-Control" not in after.headers  # the session has the token of the form


def test_a_users_pages_are_not_for_caches(log_in_as):
    """What somebody who is logged in sees must not be kept for others."""
    assert log_in_as("ann").get("/").headers["Cache-Control"] == "private, no-cache"


def test_a_note_is_published(client, publish):
    """A good note is answered by 303 See Other, and then stands on the page, which says so once."""
    response = publish("Hello")
    assert (response.status_code, response.location) == (303, "/")
    assert bodies(client.get("/")) == ["Hello"]
    assert re.search(r'class="author" href="/users/writer">writer<', client.get("/").text)


def test_text_is_escaped_and_keeps_its_newlines(client, publish):
    """HTML in a note is shown, not run, and a browser's CRLF is stored as one newline."""
    publish("  <script>alert(1)</script>\r\n& two  ")
    assert bodies(client.get("/")) == ["&lt;script&gt;alert(1)&lt;/script&gt;\n&amp; two"]


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
    assert bodies(client.get("/")) == []


def test_a_refused_text_is_kept(publish):
    """What was typed stays in the form when it is refused."""
    typed = "too long <&> " * 50
    assert typed.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;") in publish(typed).text


def test_the_longest_note_fits(client, publish):
    """500 characters are accepted, counted as characters and not as bytes."""
    assert publish("é" * BODY_MAX).status_code == 303
    assert bodies(client.get("/")) == ["é" * BODY_MAX]


def test_timelines_are_paged_by_id(client, add_posts):
    """110 notes fill three pages, newest first, with links that survive new notes in between."""
    add_posts(110)
    seen, url = [], "/"
    while url:
        page = client.get(url)
        seen.append(bodies(page))
        found = re.search(r'rel="next" href="([^"]+)"', page.text)
        url = found and found[1]
    assert [len(part) for part in seen] == [50, 50, 10]
    assert sum(seen, []) == [f"post {n}" for n in range(110, 0, -1)]
    assert 'rel="first" href="/"' in client.get("/?before=5").text


@pytest.mark.parametrize("before", ["", "x", "0", "-1", "1.5", "9" * 5000, str(2**31), "%FF"])
def test_a_page_that_makes_no_sense_is_the_first(client, add_posts, before):
    """A cursor that is no id shows the newest notes."""
    add_posts(1)
    assert bodies(client.get(f"/?before={before}")) == ["post 1"]


def test_the_number_of_statements_is_constant(app, client, add_posts, log_in_as, statements):
    """A timeline takes one SQL statement at 10 notes and at 1,000, whoever wrote them; with a log-in two."""
    counts = set()
    for number, name in ((10, "few"), (990, "many")):
        add_posts(number, name)
        statements.clear()
        assert client.get("/").status_code == 200
        counts.add(len(statements))
    assert counts == {1}
    reader = log_in_as("reader")
    reader.get("/following")
    statements.clear()
    reader.get("/following")
    assert len(statements) == 2


def test_a_timeline_needs_no_sorting(app, add_posts):
    """SQLite finds the newest notes, and those of one author, by an index: it reads no more than it shows."""
    add_posts(10)
    with app.app_context():
        for query, index in (
            ("SELECT * FROM post WHERE hidden_at IS NULL ORDER BY id DESC LIMIT 51", "SCAN post"),
            (
                "SELECT * FROM post WHERE author_id = 1 AND id < 9 ORDER BY id DESC LIMIT 51",
                "ix_post_author_id_id",
            ),
        ):
            plan = str(db.session.execute(db.text(f"EXPLAIN QUERY PLAN {query}")).all())
            assert index in plan and "TEMP B-TREE" not in plan


def test_one_edits_ones_own_notes(client, publish, log_in_as):
    """The writer of a note can change it, and it says so; a bad text is refused at the field."""
    publish("first")
    writer = log_in_as("editor")
    submit(writer, "/", body="mine")
    assert "edited" not in client.get("/posts/2").text
    assert submit(writer, "/posts/2/edit", body="").status_code == 422
    response = submit(writer, "/posts/2/edit", body="mine, better")
    assert (response.status_code, response.location) == (303, "/posts/2")
    page = client.get("/posts/2")
    assert bodies(page) == ["mine, better"]
    assert "edited" in page.text


def test_one_deletes_ones_own_notes(client, log_in_as):
    """A note is deleted by POST, after a page that asks; then its address is 404."""
    writer = log_in_as("ann")
    submit(writer, "/", body="gone soon")
    assert "Delete your note?" in writer.get("/posts/1/delete").text
    assert bodies(client.get("/")) == ["gone soon"]
    assert submit(writer, "/posts/1/delete").location == "/"
    assert client.get("/posts/1").status_code == 404


@pytest.mark.parametrize("action", ["edit", "delete"])
def test_nobody_changes_what_others_write(client, publish, log_in_as, action):
    """Another user gets 403, an admin as well, and a stranger the log-in; the page offers it to neither."""
    publish("not yours")
    for other in (log_in_as("other"), log_in_as("boss", admin=True)):
        assert other.get(f"/posts/1/{action}").status_code == 403
        assert submit(other, f"/posts/1/{action}", "/account/tokens", body="x").status_code == 403
        assert f"/posts/1/{action}" not in other.get("/").text
    assert client.get(f"/posts/1/{action}").location == f"/login?next=/posts/1/{action}"
    assert bodies(client.get("/posts/1")) == ["not yours"]


def test_following_shows_whom_one_follows(app, add_posts, log_in_as):
    """The timeline of /following has the notes of the followed and one's own, and no others."""
    add_posts(2, "liked")
    add_posts(1, "ignored")
    ann = log_in_as("ann")
    assert "Nothing here yet" in ann.get("/following").text
    submit(ann, "/", body="my own")
    response = submit(ann, "/users/liked/follow", "/users/liked")
    assert (response.status_code, response.location) == (303, "/users/liked")
    assert bodies(ann.get("/following")) == ["my own", "post 2", "post 1"]
    profile = ann.get("/users/liked").text
    assert "1 follower " in profile and "Unfollow" in profile
    submit(ann, "/users/liked/unfollow", "/users/liked")
    assert bodies(ann.get("/following")) == ["my own"]


def test_following_twice_does_no_harm(app, log_in_as, add_user):
    """Following twice, and unfollowing whom one does not follow, changes nothing."""
    add_user("bob")
    ann = log_in_as("ann")
    for action, count in (("follow", 1), ("follow", 1), ("unfollow", 0), ("unfollow", 0)):
        assert submit(ann, f"/users/bob/{action}", "/users/bob").status_code == 303
        with app.app_context():
            assert db.session.query(Follow).count() == count


def test_nobody_follows_themselves_or_a_closed_account(log_in_as, add_user):
    """To follow oneself, or somebody who has left, is 409; nobody by that name is 404."""
    ann = log_in_as("ann")
    add_user("gone", active=False)
    for name, code in (("ann", 409), ("gone", 409), ("nobody", 404)):
        assert submit(ann, f"/users/{name}/follow", "/account/tokens").status_code == code


def test_following_takes_a_post(log_in_as, add_user):
    """A link cannot make anybody follow: GET is 405, and a POST without the token is 400."""
    add_user("bob")
    ann = log_in_as("ann")
    assert ann.get("/users/bob/follow").status_code == 405
    assert ann.post("/users/bob/follow").status_code == 400


def test_search_finds_text_in_any_case(client, publish):
    """Search finds a part of a note, in lower or upper case; % and _ are letters like others."""
    for body in ("Apples 100%", "pears_x", "pearsix"):
        publish(body)
    assert bodies(client.get("/search?q=aPPle")) == ["Apples 100%"]
    assert bodies(client.get("/search?q=%25")) == ["Apples 100%"]
    assert bodies(client.get("/search?q=s_x")) == ["pears_x"]
    assert "Nothing found" in client.get("/search?q=plum").text


@pytest.mark.parametrize("text", ["", "%20", "%00", "%FF"])
def test_a_search_for_nothing_finds_nothing(client, publish, text):
    """Without a text, or with one that no note can have, there is only the form."""
    publish("note")
    page = client.get(f"/search?q={text}")
    assert page.status_code == 200
    assert bodies(page) == []


def test_search_keeps_its_text_over_pages(client, add_posts):
    """The link to older results carries the text along."""
    add_posts(60)
    page = client.get("/search?q=post")
    link = re.search(r'rel="next" href="([^"]+)"', page.text)[1].replace("&amp;", "&")
    assert bodies(client.get(link)) == [f"post {n}" for n in range(10, 0, -1)]


def test_hidden_notes_are_nowhere(app, client, log_in_as, add_posts):
    """A hidden note is on no page and at no address, not even for its author."""
    writer = log_in_as("ann")
    submit(writer, "/", body="bad words")
    with app.app_context():
        db.session.get(Post, 1).hidden_at = utc_now()
        db.session.commit()
    for path in ("/", "/users/ann", "/search?q=bad"):
        assert bodies(writer.get(path)) == []
    for path in ("/posts/1", "/posts/1/edit", "/posts/1/delete"):
        assert writer.get(path).status_code == 404


@pytest.mark.parametrize("path", ["/users/nobody", "/posts/9", f"/posts/{2**31}", "/posts/x", "/users/ANN"])
def test_what_is_not_there_is_404(client, add_user, path):
    """Addresses of users and notes that do not exist are 404."""
    add_user("ann")
    assert client.get(path).status_code == 404


def test_a_kept_note_follows_its_changes(client, log_in_as):
    """The HTML of a note is kept between requests, and yet never shows an old text."""
    ann = log_in_as("ann")
    submit(ann, "/", body="one")
    client.get("/")
    submit(ann, "/posts/1/edit", body="two")
    assert bodies(client.get("/")) == ["two"]


def test_a_form_without_its_token_is_refused(client, log_in_as):
    """Another site cannot post for a user: without the token there is a styled 400 with advice."""
    response = log_in_as("ann").post("/", data={"body": "forged"})
    assert response.status_code == 400
    assert "CSRF token is missing" in response.text
    assert "reload the page" in response.text
    assert bodies(client.get("/")) == []


def test_a_token_of_another_session_is_refused(log_in_as):
    """The token of one session is worth nothing in another."""
    token = csrf_token(log_in_as("bob"), "/")
    assert log_in_as("ann").post("/", data={"csrf_token": token, "body": "forged"}).status_code == 400


def test_a_secure_form_needs_its_own_site_as_referrer(publish):
    """Over https a form that comes from another site is refused even with a token."""
    assert publish("x", base_url="https://localhost").status_code == 400


def test_a_message_is_shown_once(log_in_as):
    """What happened is said on the next page, and on that alone."""
    ann = log_in_as("ann")
    submit(ann, "/", body="x")
    assert messages(ann.get("/")) == ["Your note is published."]
    assert messages(ann.get("/")) == []


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
