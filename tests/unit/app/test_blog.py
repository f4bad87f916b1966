"""Blog pages: timelines, posts, profiles, search, permissions and caching."""

import re

import pytest
from flask import Response, flash, get_flashed_messages, session
from hypothesis import given, settings
from hypothesis.strategies import text
from sqlalchemy import event

from app.blog.models import BODY_MAX, Follow, Post, clean_body
from app.blog.views import ANONYMOUS_CACHE_CONTROL, add_cache_control
from app.database import db, utc_now
from tests.unit.app.helpers import PASSWORD, bodies, csrf_token, messages, only_sqlite, submit


@pytest.fixture
def statements(app):
    """Return a list to which every SQL statement is added, except BEGIN."""
    found = []

    def record(connection, cursor, statement, *arguments):
        if not statement.startswith("BEGIN"):
            found.append(statement)

    with app.app_context():
        engine = db.engine
    event.listen(engine, "before_cursor_execute", record)
    yield found
    event.remove(engine, "before_cursor_execute", record)


def test_empty_timeline(client, log_in_as):
    """Without posts, the page links to the registration (or the form) and shows how to add demo data."""
    page = client.get("/")
    assert page.status_code == 200
    assert "No posts yet" in page.text
    assert 'href="/register"' in page.text
    assert "./stack flask seed" in page.text
    assert 'href="#body"' in log_in_as("ann").get("/").text


def test_anonymous_clients_get_no_form(client, add_posts):
    """Only authenticated users can post. Forms of anonymous clients are redirected to the login page."""
    add_posts(1)
    assert "<textarea" not in client.get("/").text
    client.get("/login")
    response = submit(client, "/", "/login", body="x")
    assert (response.status_code, response.location) == (302, "/login?next=/")
    assert bodies(client.get("/")) == ["post 1"]


def test_anonymous_pages_are_cacheable(client, add_posts):
    """Anonymous pages can be cached: no cookie, no CSRF token, and `Vary: Cookie`."""
    add_posts(60)
    for path in ("/", "/?before=5", "/users/author", "/posts/3", "/search?q=post"):
        response = client.get(path)
        assert response.status_code == 200
        assert "Set-Cookie" not in response.headers
        assert "csrf" not in response.text
        assert response.headers["Vary"] == "Cookie"
        assert response.headers["Cache-Control"] == ANONYMOUS_CACHE_CONTROL


@pytest.mark.parametrize("path", ["/users/nobody", "/posts/999", "/login", "/following", "/healthz"])
def test_errors_redirects_and_forms_are_not_cacheable(client, path):
    """Errors, redirects and forms are not marked as cacheable."""
    assert "public" not in client.get(path).headers.get("Cache-Control", "")


def test_page_with_the_last_message_of_a_session_is_not_cacheable(app):
    """A page that shows a flash message is not cacheable, even if the session is empty afterwards."""
    with app.test_request_context("/"):
        flash("Only for you.")
        assert get_flashed_messages() and not session
        assert "Cache-Control" not in add_cache_control(Response()).headers


def test_page_with_a_message_is_not_cacheable(log_in_as):
    """An anonymous page with a flash message is not cacheable, nor is any page while there is a session."""
    browser = log_in_as("ann")
    submit(browser, "/account/deactivate", password=PASSWORD)
    goodbye, after = browser.get("/"), browser.get("/")
    assert (messages(goodbye), messages(after)) == (["Your account has been closed."], [])
    assert "Cache-Control" not in goodbye.headers
    assert "Cache-Control" not in after.headers  # the session contains the CSRF token


def test_authenticated_pages_are_private(log_in_as):
    """Pages of authenticated users must not be stored in shared caches."""
    assert log_in_as("ann").get("/").headers["Cache-Control"] == "private, no-cache"


def test_post_is_published(client, publish):
    """A valid post is answered with 303 See Other and appears on the home page."""
    response = publish("Hello")
    assert (response.status_code, response.location) == (303, "/")
    assert bodies(client.get("/")) == ["Hello"]
    assert re.search(r'class="author" href="/users/writer">writer<', client.get("/").text)


def test_text_is_escaped_and_keeps_its_newlines(client, publish):
    """HTML in a post is escaped, and a browser's CRLF is stored as a newline."""
    publish("  <script>alert(1)</script>\r\n& two  ")
    assert bodies(client.get("/")) == ["&lt;script&gt;alert(1)&lt;/script&gt;\n&amp; two"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("", "Write something first."),
        (" \r\n\t ", "Write something first."),
        ("\u200b \u2060\u3164\ufeff", "Write something first."),
        ("x" * (BODY_MAX + 1), "501 characters long"),
        ("nul \0 byte", "cannot be stored"),
        ("escape \x1b[31m", "cannot be stored"),
        (b"raw \xff byte", "cannot be stored"),
        (b"quoted %FF byte", "cannot be stored"),
        (b"surrogate %ED%A0%80", "cannot be stored"),
    ],
)
def test_invalid_post_is_rejected_at_the_field(client, publish, body, message):
    """An invalid post gets 422 and an error at the field, and is not stored."""
    response = publish(body)
    assert response.status_code == 422
    assert re.search(rf'id="body-error"[^>]*>[^<]*{message}', response.text)
    assert 'aria-invalid="true"' in response.text
    assert bodies(client.get("/")) == []


def test_rejected_text_stays_in_the_form(publish):
    """The form keeps the text of a rejected post."""
    typed = "too long <&> " * 50
    assert typed.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;") in publish(typed).text


def test_longest_post(client, publish):
    """500 characters are accepted. Characters are counted, not bytes."""
    assert publish("é" * BODY_MAX).status_code == 303
    assert bodies(client.get("/")) == ["é" * BODY_MAX]


def test_pagination(client, add_posts):
    """110 posts fill three pages, newest first. The links contain ids, so new posts do not shift the pages."""
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
def test_invalid_cursor(client, add_posts, before):
    """An invalid cursor shows the newest posts."""
    add_posts(1)
    assert bodies(client.get(f"/?before={before}")) == ["post 1"]


def test_number_of_statements_is_constant(app, client, add_posts, log_in_as, statements):
    """A timeline takes one SQL statement for 10 posts and for 1,000 posts, and two for authenticated users."""
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


@only_sqlite
def test_timelines_use_indexes(app, add_posts):
    """SQLite finds the newest posts, and those of one author, without sorting: it reads no more rows than it shows."""
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


def test_author_can_edit_a_post(client, publish, log_in_as):
    """The author of a post can edit it, and the post is marked as edited. An invalid text is rejected."""
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


def test_author_can_delete_a_post(client, log_in_as):
    """A post is deleted by a POST request after a confirmation page. Then its URL is 404."""
    writer = log_in_as("ann")
    submit(writer, "/", body="gone soon")
    assert "Delete your post?" in writer.get("/posts/1/delete").text
    assert bodies(client.get("/")) == ["gone soon"]
    assert submit(writer, "/posts/1/delete").location == "/"
    assert client.get("/posts/1").status_code == 404


@pytest.mark.parametrize("action", ["edit", "delete"])
def test_only_the_author_can_change_a_post(client, publish, log_in_as, action):
    """Other users and admins get 403, anonymous clients the login page. Pages do not offer the action to them."""
    publish("not yours")
    for other in (log_in_as("other"), log_in_as("boss", admin=True)):
        assert other.get(f"/posts/1/{action}").status_code == 403
        assert submit(other, f"/posts/1/{action}", "/account/tokens", body="x").status_code == 403
        assert f"/posts/1/{action}" not in other.get("/").text
    assert client.get(f"/posts/1/{action}").location == f"/login?next=/posts/1/{action}"
    assert bodies(client.get("/posts/1")) == ["not yours"]


def test_following_timeline(app, add_posts, log_in_as):
    """The timeline at /following contains the posts of followed users and the user's own, and no others."""
    add_posts(2, "liked")
    add_posts(1, "ignored")
    ann = log_in_as("ann")
    assert "No posts yet" in ann.get("/following").text
    submit(ann, "/", body="my own")
    response = submit(ann, "/users/liked/follow", "/users/liked")
    assert (response.status_code, response.location) == (303, "/users/liked")
    assert bodies(ann.get("/following")) == ["my own", "post 2", "post 1"]
    profile = ann.get("/users/liked").text
    assert "1 follower " in profile and "Unfollow" in profile
    submit(ann, "/users/liked/unfollow", "/users/liked")
    assert bodies(ann.get("/following")) == ["my own"]


def test_follow_counts(log_in_as, add_user):
    """A profile shows how many users follow the user, and how many the user follows."""
    for name in ("bob", "carol"):
        add_user(name)
    ann, dave = log_in_as("ann"), log_in_as("dave")
    for browser, name in ((ann, "bob"), (ann, "carol"), (dave, "bob")):
        submit(browser, f"/users/{name}/follow", f"/users/{name}")
    counts = {"ann": (0, 2), "bob": (2, 0), "carol": (1, 0), "dave": (0, 1)}
    for name, expected in counts.items():
        followers, following = re.search(r"(\d+) followers? · (\d+) following", ann.get(f"/users/{name}").text).groups()
        assert (int(followers), int(following)) == expected, name


def test_following_is_idempotent(app, log_in_as, add_user):
    """Following a user twice, and unfollowing a user who is not followed, changes nothing."""
    add_user("bob")
    ann = log_in_as("ann")
    for action, count in (("follow", 1), ("follow", 1), ("unfollow", 0), ("unfollow", 0)):
        assert submit(ann, f"/users/bob/{action}", "/users/bob").status_code == 303
        with app.app_context():
            assert db.session.query(Follow).count() == count


def test_users_that_cannot_be_followed(log_in_as, add_user):
    """Following oneself or a closed account is 409. Following an unknown user is 404."""
    ann = log_in_as("ann")
    add_user("gone", active=False)
    for name, code in (("ann", 409), ("gone", 409), ("nobody", 404)):
        assert submit(ann, f"/users/{name}/follow", "/account/tokens").status_code == code


def test_following_requires_a_post(log_in_as, add_user):
    """GET is 405, and POST without the CSRF token is 400."""
    add_user("bob")
    ann = log_in_as("ann")
    assert ann.get("/users/bob/follow").status_code == 405
    assert ann.post("/users/bob/follow").status_code == 400


@pytest.mark.parametrize("text", ["", "%20", "%00", "%FF"])
def test_empty_search(client, publish, text):
    """Without a text, or with text that no post can contain, the page shows only the form."""
    publish("post")
    page = client.get(f"/search?q={text}")
    assert page.status_code == 200
    assert bodies(page) == []


def test_search_pagination(client, add_posts):
    """The link to older results contains the search text."""
    add_posts(60)
    page = client.get("/search?q=post")
    link = re.search(r'rel="next" href="([^"]+)"', page.text)[1].replace("&amp;", "&")
    assert bodies(client.get(link)) == [f"post {n}" for n in range(10, 0, -1)]


def test_hidden_posts(app, client, log_in_as, add_posts):
    """A hidden post is on no page, and its URLs are 404, even for its author."""
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
def test_unknown_users_and_posts_are_404(client, add_user, path):
    """URLs of users and posts that do not exist are 404."""
    add_user("ann")
    assert client.get(path).status_code == 404


def test_cached_post_is_updated(client, log_in_as):
    """The HTML of a post is cached between requests, but an edited post is never shown with its old text."""
    ann = log_in_as("ann")
    submit(ann, "/", body="one")
    client.get("/")
    submit(ann, "/posts/1/edit", body="two")
    assert bodies(client.get("/")) == ["two"]


def test_form_requires_the_csrf_token(client, log_in_as):
    """Without the CSRF token, a form gets a styled 400 page that explains what to do."""
    response = log_in_as("ann").post("/", data={"body": "forged"})
    assert response.status_code == 400
    assert "CSRF token is missing" in response.text
    assert "reload the page" in response.text
    assert bodies(client.get("/")) == []


def test_csrf_token_of_another_session(log_in_as):
    """The CSRF token of one session is invalid in another session."""
    token = csrf_token(log_in_as("bob"), "/")
    assert log_in_as("ann").post("/", data={"csrf_token": token, "body": "forged"}).status_code == 400


def test_form_over_https_requires_a_referer(publish):
    """Over HTTPS, a form without a Referer of this site is rejected even with a CSRF token."""
    assert publish("x", base_url="https://localhost").status_code == 400


def test_message_is_shown_once(log_in_as):
    """A flash message is shown on the next page, and only there."""
    ann = log_in_as("ann")
    submit(ann, "/", body="x")
    assert messages(ann.get("/")) == ["Your post has been published."]
    assert messages(ann.get("/")) == []


@pytest.mark.parametrize("text", ["a\x00b", "a\x85b", "\x1f", "\ud800", "\ufffd", "\x7f", "a\u202eb", "a\u2066b"])
def test_forbidden_characters(text):
    """Control characters except newline and tab, lone surrogates, U+FFFD, and bidirectional controls are rejected."""
    with pytest.raises(ValueError, match="cannot be stored"):
        clean_body(text)


@settings(max_examples=50)
@given(text(max_size=BODY_MAX + 50))
def test_cleaned_text_can_be_stored(typed):
    """Any text is either rejected with a message or becomes text that the database can store."""
    try:
        body = clean_body(typed)
    except ValueError as error:
        assert str(error).endswith(".")
        return
    assert 1 <= len(body) <= BODY_MAX
    assert body.encode()
    assert "\0" not in body and "\r" not in body
    assert clean_body(body) == body


def test_all_scripts_are_accepted():
    """Tabs, newlines, emoji and all scripts are accepted."""
    assert clean_body("\tTab\r\n日本語\rعربى 👩‍👩‍👧 ") == "Tab\n日本語\nعربى 👩‍👩‍👧"
