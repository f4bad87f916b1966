"""Error pages, security headers and the session cookie."""

import pytest
from flask import abort
from sqlalchemy import text

from app.account.models import Role
from app.database import db
from app.security import HEADERS


@pytest.fixture
def broken(make_app, tmp_path):
    """Return a client of an app that crashes at /crash and whose database is no database."""
    (tmp_path / "broken.db").write_text("this is no database" * 100)
    app = make_app(f"sqlite:///{tmp_path}/broken.db", PROPAGATE_EXCEPTIONS=False)
    app.add_url_rule("/crash", endpoint="crash", view_func=lambda: 1 / 0)
    app.add_url_rule("/forbidden", endpoint="forbidden", view_func=lambda: abort(403))
    app.add_url_rule("/often", endpoint="often", view_func=lambda: abort(429, retry_after=7))
    app.add_url_rule("/teapot", endpoint="teapot", view_func=lambda: abort(418))
    return app.test_client()


@pytest.mark.parametrize(
    ("method", "path", "code", "title"),
    [
        ("GET", "/nothing", 404, "Not Found"),
        ("DELETE", "/", 405, "Method Not Allowed"),
        ("GET", "/crash", 500, "Internal Server Error"),
        ("GET", "/", 500, "Internal Server Error"),
        ("GET", "/forbidden", 403, "not for your account"),
        ("GET", "/often", 429, "Please wait 7 seconds"),
        ("GET", "/teapot", 418, "teapot"),
    ],
)
def test_errors_have_a_page_of_the_site(broken, method, path, code, title):
    """Each error is a page of the site with its own status, even while the database is gone."""
    response = broken.open(path, method=method)
    assert response.status_code == code
    assert response.mimetype == "text/html"
    assert title in response.text
    assert 'class="brand' in response.text
    assert "Traceback" not in response.text


def test_a_405_says_what_is_allowed(client):
    """The styled page keeps the headers of the error."""
    assert set(client.delete("/").allow) == {"GET", "HEAD", "OPTIONS", "POST"}


def test_too_large_a_form_has_a_page(make_app, sqlite_url):
    """A form beyond MAX_BODY_SIZE is a styled 413."""
    client = make_app(sqlite_url, MAX_CONTENT_LENGTH=1000).test_client()
    response = client.post("/", data={"body": "x" * 1000})
    assert response.status_code == 413
    assert "Please send less" in response.text


def test_an_address_is_never_run_as_html(client):
    """Nothing of the address is repeated unescaped in an error page."""
    assert "<script>alert" not in client.get("/<script>alert(1)</script>").text


@pytest.mark.parametrize("path", ["/", "/nothing", "/crash", "/api/v1/posts", "/static/css/site.css", "/readyz"])
def test_every_response_carries_the_security_headers(broken, path):
    """Pages, errors, JSON and files carry each security header exactly once."""
    with broken.get(path) as response:
        for name, value in HEADERS.items():
            assert response.headers.getlist(name) == [value]


def test_the_policy_allows_nothing_inline(client, publish):
    """The policy knows no unsafe-* and the pages have neither inline scripts nor inline styles."""
    assert "unsafe" not in HEADERS["Content-Security-Policy"]
    for page in (client.get("/").text, publish("").text, client.get("/nothing").text):
        assert "<style" not in page
        assert " style=" not in page
        assert page.count("<script") == page.count("<script src=")


def test_a_view_may_set_its_own_policy(app):
    """A header that a view has set is left as it is."""
    app.add_url_rule("/own", view_func=lambda: ("", {"X-Frame-Options": "SAMEORIGIN"}))
    assert app.test_client().get("/own").headers.getlist("X-Frame-Options") == ["SAMEORIGIN"]


def test_a_full_database_is_503(app, publish):
    """When the database has no room for what somebody who is logged in writes, the answer is a 503 of the site."""
    with app.app_context():
        pages = db.session.scalar(text("PRAGMA page_count"))
        db.session.execute(text(f"PRAGMA max_page_count = {pages}"))
    while (answer := publish("note " * 50)).status_code == 303:
        pass
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert "Our database does not answer" in answer.text


def test_the_session_of_a_failed_request_is_rolled_back(make_app, sqlite_url):
    """What a crashing request had begun to write is not there afterwards."""

    def write_and_crash():
        db.session.add(Role(name="half done"))
        db.session.flush()
        raise ZeroDivisionError

    app = make_app(sqlite_url, PROPAGATE_EXCEPTIONS=False, WTF_CSRF_ENABLED=False)
    app.add_url_rule("/crash", view_func=write_and_crash, methods=["POST"])
    assert app.test_client().post("/crash").status_code == 500
    with app.app_context():
        assert db.session.query(Role).count() == 0
