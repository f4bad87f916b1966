"""Forms lose no text and do nothing twice: expired forms, double clicks, and posts that are deleted meanwhile."""

import threading
import time
from datetime import timedelta
from types import SimpleNamespace

import pytest
from sqlalchemy import Engine, NullPool, create_engine, text
from sqlalchemy.exc import OperationalError

from app.admin.forms import ReasonForm
from app.blog import models
from app.blog.models import Post
from app.database import db
from tests.unit.app.helpers import bodies, csrf_token, only_postgresql

TEXT = "my <typed> text"


def submit_post(browser, token: str, body: str = TEXT):
    return browser.post("/", data={"csrf_token": token, "body": body})


def test_form_that_was_open_for_days(client, log_in_as, monkeypatch):
    """A form stays valid as long as the session: the post of a form that was open for 13 days is published."""
    ann = log_in_as("ann")
    token = csrf_token(ann, "/")
    now = time.time() + timedelta(days=13).total_seconds()
    monkeypatch.setattr("itsdangerous.timed.time", SimpleNamespace(time=lambda: now))
    assert submit_post(ann, token).status_code == 303
    monkeypatch.undo()
    assert bodies(client.get("/")) == ["my &lt;typed&gt; text"]


@pytest.mark.parametrize("path", ["/", "/posts/1/edit"])
def test_text_of_a_rejected_form_is_shown(log_in_as, path):
    """If the session has ended meanwhile, the error page shows the typed text, so that it can be copied."""
    ann = log_in_as("ann")
    token = csrf_token(ann, "/")
    submit_post(ann, token, "first")
    ann.delete_cookie("session")
    response = ann.post(path, data={"csrf_token": token, "body": TEXT})
    assert response.status_code == 400
    assert "my &lt;typed&gt; text</textarea>" in response.text


def test_error_page_of_other_requests_has_no_text(client):
    """Other error pages have no text field."""
    assert "<textarea" not in client.get("/nothing").text


# --- double clicks ----------------------------------------------------------------------------------------------------


def test_double_click_publishes_once(client, log_in_as):
    """A form that is sent twice publishes one post, and both answers say that it is published."""
    ann = log_in_as("ann")
    token = csrf_token(ann, "/")
    for _ in range(2):
        assert submit_post(ann, token).status_code == 303
        assert "has been published" in ann.get("/").text
    assert len(bodies(client.get("/"))) == 1


def test_simultaneous_requests_publish_once(app, client, log_in_as):
    """Four requests with the same form at the same time publish one post."""
    ann = log_in_as("ann")
    token, cookie = csrf_token(ann, "/"), ann.get_cookie("session").value
    together, statuses = threading.Barrier(4), []

    def click():
        browser = app.test_client()
        browser.set_cookie("session", cookie)
        together.wait()
        statuses.append(submit_post(browser, token).status_code)

    threads = [threading.Thread(target=click) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [303] * 4
    assert len(bodies(client.get("/"))) == 1


def test_same_text_can_be_published_again(client, log_in_as, monkeypatch):
    """The same text is published again after ten seconds, after another post, and by another user."""
    ann, bob = log_in_as("ann"), log_in_as("bob")
    for browser, body in ((ann, "a"), (ann, "b"), (ann, "a"), (bob, "a")):
        submit_post(browser, csrf_token(browser, "/"), body)
    monkeypatch.setattr(models, "REPEAT_WINDOW", timedelta(0))
    submit_post(bob, csrf_token(bob, "/"), "a")
    assert bodies(client.get("/")) == ["a", "a", "a", "b", "a"]


# --- posts that are deleted meanwhile ---------------------------------------------------------------------------------


def _impatient_engine(url: str) -> Engine:
    """Return an engine whose statements wait for a lock for 0.1 s at most."""
    return create_engine(url, poolclass=NullPool, connect_args={"options": "-c lock_timeout=100"})


@pytest.fixture
def delete_first(database, monkeypatch):
    """Return a function that makes another connection try to delete post 1 when `target` is called the next time."""

    def delete_first(target: str, original) -> list[str]:
        outcomes, engine = [], _impatient_engine(database)

        def run(*arguments, **named):
            if not outcomes:
                try:
                    with engine.begin() as connection:
                        connection.execute(text("DELETE FROM post WHERE id = 1"))
                    outcomes.append("deleted")
                except OperationalError:
                    outcomes.append("locked")
            return original(*arguments, **named)

        monkeypatch.setattr(target, run)
        return outcomes

    return delete_first


@only_postgresql
def test_edited_post_is_locked(app, log_in_as, delete_first):
    """While an edit is checked and saved, no other request can delete the post."""
    ann = log_in_as("ann")
    token = csrf_token(ann, "/")
    submit_post(ann, token, "old")
    outcomes = delete_first("app.blog.forms.clean_body", models.clean_body)
    assert ann.post("/posts/1/edit", data={"csrf_token": token, "body": "new"}).status_code == 303
    assert outcomes == ["locked"]
    with app.app_context():
        assert db.session.get(Post, 1).body == "new"


@only_postgresql
def test_moderated_post_is_locked(app, log_in_as, add_posts, delete_first):
    """While an admin hides a post, no other request can delete it."""
    add_posts(1)
    boss = log_in_as("boss", admin=True)
    token = csrf_token(boss, "/admin/posts/1")
    outcomes = delete_first("app.admin.forms.ReasonForm.validate", ReasonForm.validate)
    assert boss.post("/admin/posts/1/hide", data={"csrf_token": token, "reason": "x"}).status_code == 303
    assert outcomes == ["locked"]


@pytest.mark.parametrize("path", ["/posts/1/edit", "/posts/1/delete"])
def test_deleted_post_is_not_found(app, log_in_as, path):
    """A form for a post that was deleted in another tab is 404, and shows the typed text."""
    ann = log_in_as("ann")
    token = csrf_token(ann, "/")
    submit_post(ann, token, "old")
    ann.post("/posts/1/delete", data={"csrf_token": token})
    response = ann.post(path, data={"csrf_token": token, "body": TEXT})
    assert response.status_code == 404
    assert "my &lt;typed&gt; text</textarea>" in response.text


def test_row_that_is_deleted_meanwhile_is_a_conflict(make_app, database, add_posts):
    """A write to a row that a concurrent request has deleted is 409, on every view."""
    app = make_app(database, PROPAGATE_EXCEPTIONS=False, WTF_CSRF_ENABLED=False)
    add_posts(1)

    def write():
        post = db.session.get(Post, 1)
        db.session.execute(text("DELETE FROM post"))
        post.body = "new"
        db.session.commit()

    app.add_url_rule("/write", view_func=write, methods=["POST"])
    response = app.test_client().post("/write")
    assert response.status_code == 409
    assert "changed or deleted" in response.text
    with app.app_context():
        assert db.session.get(Post, 1).body == "post 1"
