"""Error pages, security headers and the session cookie."""

import sqlite3
from contextlib import closing
from itertools import count

import pytest
from flask import abort
from sqlalchemy import text

from app.account.models import Role
from app.database import db
from app.security_headers import HEADERS
from tests.unit.app.helpers import only_sqlite


@pytest.fixture
def broken(make_app, tmp_path):
    """Return a client of an app with views that fail, and with an invalid database file."""
    (tmp_path / "broken.db").write_text("this is not a database" * 100)
    app = make_app(f"sqlite:///{tmp_path}/broken.db", PROPAGATE_EXCEPTIONS=False)
    app.add_url_rule("/crash", endpoint="crash", view_func=lambda: 1 / 0)
    app.add_url_rule("/forbidden", endpoint="forbidden", view_func=lambda: abort(403))
    app.add_url_rule("/limited", endpoint="limited", view_func=lambda: abort(429, retry_after=7))
    app.add_url_rule("/teapot", endpoint="teapot", view_func=lambda: abort(418))
    return app.test_client()


@pytest.mark.parametrize(
    ("method", "path", "code", "title"),
    [
        ("GET", "/nothing", 404, "Not Found"),
        ("DELETE", "/", 405, "Method Not Allowed"),
        ("GET", "/crash", 500, "Internal Server Error"),
        ("GET", "/", 500, "Internal Server Error"),
        ("GET", "/forbidden", 403, "have permission to view this page"),
        ("GET", "/limited", 429, "Please try again in 7 seconds"),
        ("GET", "/teapot", 418, "teapot"),
    ],
)
def test_errors_have_a_styled_page(broken, method, path, code, title):
    """Each error is a styled page with the right status, even while the database is unavailable."""
    response = broken.open(path, method=method)
    assert response.status_code == code
    assert response.mimetype == "text/html"
    assert title in response.text
    assert 'class="brand' in response.text
    assert "Traceback" not in response.text


def test_error_page_keeps_headers(client):
    """The page keeps the headers of the error, for example Allow with a 405."""
    assert set(client.delete("/").allow) == {"GET", "HEAD", "OPTIONS", "POST"}


def test_too_large_form(make_app, database):
    """A form that exceeds MAX_BODY_SIZE gets a styled 413 page."""
    client = make_app(database, MAX_CONTENT_LENGTH=1000).test_client()
    response = client.post("/", data={"body": "x" * 1000})
    assert response.status_code == 413
    assert "Please send less data" in response.text


def test_path_is_escaped(client):
    """An error page does not contain the requested path unescaped."""
    assert "<script>alert" not in client.get("/<script>alert(1)</script>").text


@pytest.mark.parametrize("path", ["/", "/nothing", "/crash", "/api/v1/posts", "/static/css/site.css", "/readyz"])
def test_every_response_has_the_security_headers(broken, path):
    """Pages, errors, JSON and static files have each security header exactly once."""
    with broken.get(path) as response:
        for name, value in HEADERS.items():
            assert response.headers.getlist(name) == [value]


def test_policy_forbids_inline_code(client, publish):
    """The policy contains no unsafe-* source, and pages contain no inline scripts or styles."""
    assert "unsafe" not in HEADERS["Content-Security-Policy"]
    for page in (client.get("/").text, publish("").text, client.get("/nothing").text):
        assert "<style" not in page
        assert " style=" not in page
        assert page.count("<script") == page.count("<script src=")


def test_view_can_override_a_security_header(make_app, database):
    """A security header that a view has set is not changed."""
    app = make_app(database)
    app.add_url_rule("/own", view_func=lambda: ("", {"X-Frame-Options": "SAMEORIGIN"}))
    assert app.test_client().get("/own").headers.getlist("X-Frame-Options") == ["SAMEORIGIN"]


@only_sqlite
def test_full_database_is_503(app, database, publish):
    """If the database is full, an authenticated user's write gets a styled 503 page."""
    with closing(sqlite3.connect(database.removeprefix("sqlite:///"))) as connection:
        connection.execute("VACUUM")  # removes the free pages that other tests have left
    with app.app_context():
        pages = db.session.scalar(text("PRAGMA page_count"))
        db.session.execute(text(f"PRAGMA max_page_count = {pages}"))
    numbers = count()
    while (answer := publish(f"{next(numbers)} " + "post " * 50)).status_code == 303:
        pass
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert "The database is not available" in answer.text


def test_failed_request_is_rolled_back(make_app, database):
    """Changes of a request that raises an exception are rolled back."""

    def write_and_crash():
        db.session.add(Role(name="unfinished"))
        db.session.flush()
        raise ZeroDivisionError

    app = make_app(database, PROPAGATE_EXCEPTIONS=False, WTF_CSRF_ENABLED=False)
    app.add_url_rule("/crash", view_func=write_and_crash, methods=["POST"])
    assert app.test_client().post("/crash").status_code == 500
    with app.app_context():
        assert db.session.query(Role).count() == 0
