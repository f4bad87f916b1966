"""Idempotency-Key: a POST that is sent again does nothing twice, on both databases, with workers side by side."""

import threading
from collections import Counter
from datetime import timedelta

import pytest
from flask_migrate import upgrade
from sqlalchemy import func, select, text, update

from app.api.idempotency import KEPT, Answer
from app.blog.models import Post
from app.database import db, utc_now

POSTS = "/api/v1/posts"


@pytest.fixture
def app(make_app, empty_database):
    """Return an app on each database in turn; it replaces the one of all other tests."""
    app = make_app(empty_database)
    with app.app_context():
        upgrade()
    return app


def send(app, headers: dict, body: str = "once", key: str = '"8e03978e"'):
    return app.test_client().post(POSTS, json={"body": body}, headers=headers | {"Idempotency-Key": key})


def count(app, model=Post) -> int:
    with app.app_context():
        return db.session.scalar(select(func.count()).select_from(model))


def test_the_same_request_is_answered_the_same(app, alice):
    """Status, body, Location and ETag are the first answer's, however often it is asked, and one post is made."""
    first, second = send(app, alice), send(app, alice)
    assert (first.status_code, second.status_code) == (201, 201)
    assert second.data == first.data
    assert (second.location, second.headers["ETag"]) == (first.location, first.headers["ETag"])
    assert send(app, alice, key="8e03978e").data == first.data  # without the quotes of RFC 9651
    assert count(app) == 1


def test_another_request_with_the_same_key_is_refused(app, alice):
    """A key that comes with another request is a mistake of the client: 422, and nothing is done."""
    send(app, alice)
    refused = send(app, alice, body="another")
    assert (refused.status_code, list(refused.json["fields"])) == (422, ["Idempotency-Key"])
    assert count(app) == 1


def test_a_key_belongs_to_its_user(app, alice, bob):
    """Two users who happen to choose the same key do not see each other's answers."""
    assert send(app, alice).json["author"] == "alice"
    assert send(app, bob).json["author"] == "bob"


@pytest.mark.parametrize("key", ["", '""', "x" * 256])
def test_a_bad_key_is_refused(app, alice, key):
    """A key is 1 to 255 characters: 422 and the header's name."""
    refused = send(app, alice, key=key)
    assert (refused.status_code, list(refused.json["fields"])) == (422, ["Idempotency-Key"])


def test_a_refused_request_can_be_mended(app, alice):
    """What was refused has done nothing, so its key is still free."""
    assert send(app, alice, body="").status_code == 422
    assert send(app, alice, body="mended").status_code == 201


def test_a_key_is_forgotten_after_a_day(app, alice):
    """An answer is kept for 24 hours; then the key is new, and old answers are removed."""
    send(app, alice)
    send(app, alice, key="another")
    with app.app_context():
        db.session.execute(update(Answer).values(created_at=utc_now() - KEPT - timedelta(seconds=1)))
        db.session.commit()
    assert send(app, alice).status_code == 201
    assert (count(app), count(app, Answer)) == (3, 1)


def test_a_crash_in_between_doubles_nothing(app, alice, monkeypatch):
    """Post and answer are stored together: a crash before both are leaves neither, and the next try makes one."""
    monkeypatch.setattr(Answer, "keep", lambda *arguments: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        send(app, alice)
    monkeypatch.undo()
    assert count(app) == 0
    assert send(app, alice).status_code == 201
    assert send(app, alice).status_code == 201
    assert count(app) == 1


def test_requests_at_the_same_time_make_one_post(app, alice):
    """Of eight at once each gets the one answer, or 409 because another is at work; there is one post."""
    together, answers = threading.Barrier(8), []

    def work():
        together.wait()
        answers.append(send(app, alice))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    statuses = Counter(answer.status_code for answer in answers)
    assert statuses[201] >= 1 and set(statuses) <= {201, 409}
    assert {answer.location for answer in answers if answer.status_code == 201} == {f"{POSTS}/1"}
    assert count(app) == 1


def test_a_request_in_progress_is_409_on_postgresql(make_app, postgresql_url, join):
    """While one is being answered another with its key is 409, at once; when the first has died, it is done."""
    app = make_app(postgresql_url)
    with app.app_context():
        upgrade()
    alice = join("alice", app)
    with app.app_context(), db.engine.connect() as other:
        lock = text("SELECT pg_advisory_lock(hashtextextended((SELECT id FROM account)::text || ' 8e03978e', 0))")
        other.execute(lock)
        refused = send(app, alice)
        assert (refused.status_code, refused.headers["Retry-After"]) == (409, "1")
        assert count(app) == 0
        other.invalidate()  # the connection is closed, as when its process is killed
        assert send(app, alice).status_code == 201
