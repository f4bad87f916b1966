"""Idempotency-Key: retried POST requests are executed once, on both databases and with concurrent workers."""

import threading
from collections import Counter
from datetime import timedelta

import pytest
from sqlalchemy import func, select, text, update

from app.api.idempotency import RETENTION, StoredResponse
from app.blog.models import Post
from app.database import db, utc_now
from tests.unit.app.helpers import only_postgresql

POSTS = "/api/v1/posts"


def send(app, headers: dict, body: str = "once", key: str = '"8e03978e"'):
    return app.test_client().post(POSTS, json={"body": body}, headers=headers | {"Idempotency-Key": key})


def count(app, model=Post) -> int:
    with app.app_context():
        return db.session.scalar(select(func.count()).select_from(model))


def test_retry_returns_the_stored_response(app, alice):
    """A retried request gets the status, body, Location and ETag of the first response. One post is created."""
    first, second = send(app, alice), send(app, alice)
    assert (first.status_code, second.status_code) == (201, 201)
    assert second.data == first.data
    assert (second.location, second.headers["ETag"]) == (first.location, first.headers["ETag"])
    assert send(app, alice, key="8e03978e").data == first.data  # without the quotes of RFC 9651
    assert count(app) == 1


def test_key_of_a_different_request(app, alice):
    """A different request with the same key is rejected with 422."""
    send(app, alice)
    refused = send(app, alice, body="another")
    assert (refused.status_code, list(refused.json["fields"])) == (422, ["Idempotency-Key"])
    assert count(app) == 1


def test_keys_are_separate_for_each_user(app, alice, bob):
    """Two users with the same key do not get each other's responses."""
    assert send(app, alice).json["author"] == "alice"
    assert send(app, bob).json["author"] == "bob"


@pytest.mark.parametrize("key", ["", '""', "x" * 256])
def test_invalid_key(app, alice, key):
    """A key has 1 to 255 characters. Otherwise the response is 422 with an error for the header."""
    refused = send(app, alice, key=key)
    assert (refused.status_code, list(refused.json["fields"])) == (422, ["Idempotency-Key"])


def test_key_of_a_rejected_request_can_be_used_again(app, alice):
    """A rejected request stores no response, so a corrected request can use the same key."""
    assert send(app, alice, body="").status_code == 422
    assert send(app, alice, body="corrected").status_code == 201


def test_keys_expire(app, alice):
    """After 24 hours, a key can be used again, and expired responses are deleted."""
    send(app, alice)
    send(app, alice, key="another")
    with app.app_context():
        db.session.execute(update(StoredResponse).values(created_at=utc_now() - RETENTION - timedelta(seconds=1)))
        db.session.commit()
    assert send(app, alice).status_code == 201
    assert (count(app), count(app, StoredResponse)) == (3, 1)


def test_crash_before_the_commit(app, alice, monkeypatch):
    """The post and the response are stored in one transaction: after a crash neither exists, and a retry works."""
    monkeypatch.setattr(StoredResponse, "store", lambda *arguments: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        send(app, alice)
    monkeypatch.undo()
    assert count(app) == 0
    assert send(app, alice).status_code == 201
    assert send(app, alice).status_code == 201
    assert count(app) == 1


def test_concurrent_requests_create_one_post(app, alice):
    """Eight concurrent requests get the same response, or 409 because one is in progress. One post is created."""
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


@only_postgresql
def test_request_in_progress_is_409_on_postgresql(app, alice):
    """While a request is in progress, another one with its key is 409. If the first one is killed, a retry works."""
    with app.app_context(), db.engine.connect() as other:
        lock = text("SELECT pg_advisory_lock(hashtextextended((SELECT id FROM account)::text || ' 8e03978e', 0))")
        other.execute(lock)
        refused = send(app, alice)
        assert (refused.status_code, refused.headers["Retry-After"]) == (409, "1")
        assert count(app) == 0
        other.invalidate()  # closes the connection, as if the process were killed
        assert send(app, alice).status_code == 201
