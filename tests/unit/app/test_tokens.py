"""API tokens: they are bounded, expire, have a scope, and cannot create tokens."""

from datetime import timedelta

import pytest
from sqlalchemy import update

from app.account import models
from app.account.models import ApiToken, User
from app.database import db, utc_now
from tests.unit.app.helpers import PASSWORD, submit

ME, POSTS, TOKENS = "/api/v1/me", "/api/v1/posts", "/api/v1/tokens"
ALICE = ("alice", PASSWORD)


def bearer(response) -> dict[str, str]:
    return {"Authorization": f"Bearer {response.json['token']}"}


def age_tokens(app, hours: int) -> None:
    """Let all tokens expire some hours earlier."""
    with app.app_context():
        for token in db.session.query(ApiToken):
            token.expires_at -= timedelta(hours=hours)
        db.session.commit()


def test_tokens_cannot_create_tokens(client, app, alice):
    """A token that leaked cannot be turned into tokens that outlive its revocation."""
    assert client.post(TOKENS, json={"name": "x"}, headers=alice).status_code == 403
    with app.app_context():
        assert db.session.query(ApiToken).count() == 1


def test_read_tokens_only_read(client, alice):
    """With the scope `read`, all writes are 403. Reads work. The default scope is `write`."""
    made = client.post(TOKENS, json={"name": "read", "scope": "read"}, auth=ALICE)
    assert made.json["scope"] == "read"
    headers = bearer(made)
    assert client.get(ME, headers=headers).json["username"] == "alice"
    for method, path in (("POST", POSTS), ("PUT", "/api/v1/users/alice/follow"), ("DELETE", made.location)):
        refused = client.open(path, method=method, json={"body": "x"}, headers=headers)
        assert (refused.status_code, refused.json["error"]) == (403, "This token can only read.")
    assert client.get(POSTS).json["posts"] == []
    made = client.post(TOKENS, json={"name": "default"}, auth=ALICE)
    assert made.json["scope"] == "write"
    assert client.post(POSTS, json={"body": "x"}, headers=bearer(made)).status_code == 201


def test_tokens_expire(client, app, alice):
    """A token is valid for the requested number of days, by default 90."""
    made = client.post(TOKENS, json={"name": "short", "days": 1}, auth=ALICE)
    default = client.post(TOKENS, json={"name": "default"}, auth=ALICE)
    headers = bearer(made)
    assert client.get(ME, headers=headers).status_code == 200
    with app.app_context():
        token = db.session.get(ApiToken, default.json["id"])
        assert abs(token.expires_at - utc_now() - timedelta(days=90)) < timedelta(minutes=1)
    age_tokens(app, hours=23)
    assert client.get(ME, headers=headers).status_code == 200
    age_tokens(app, hours=1)
    assert client.get(ME, headers=headers).status_code == 401


def test_tokens_of_the_previous_release_expire(client, app, alice):
    """A token without an end, which a former release created during an upgrade, ends after a year."""
    for age, status in ((364, 200), (366, 401)):
        with app.app_context():
            created_at = utc_now() - timedelta(days=age)
            db.session.execute(update(ApiToken).values(expires_at=None, created_at=created_at))
            db.session.commit()
        assert client.get(ME, headers=alice).status_code == status


@pytest.mark.parametrize("field", [{"scope": "admin"}, {"days": 0}, {"days": 366}, {"days": "x"}])
def test_invalid_scope_or_lifetime(client, alice, field):
    """Unknown scopes, and lifetimes of less than a day or more than a year, are 422."""
    response = client.post(TOKENS, json={"name": "x"} | field, auth=ALICE)
    assert (response.status_code, list(response.json["fields"])) == (422, list(field))


def test_number_of_tokens_is_bounded(client, app, alice, log_in_as, monkeypatch):
    """A user has at most MAX_TOKENS tokens, by the API and by the form. Expired ones do not count."""
    monkeypatch.setattr(models, "MAX_TOKENS", 3)
    statuses = [client.post(TOKENS, json={"name": str(n)}, auth=ALICE).status_code for n in range(3)]
    assert statuses == [201, 201, 409]
    with app.app_context():
        db.session.execute(update(ApiToken).values(expires_at=utc_now()))
        db.session.commit()
    assert client.post(TOKENS, json={"name": "new"}, auth=ALICE).status_code == 201
    with app.app_context():
        assert db.session.query(ApiToken).count() == 1
    ann = log_in_as("ann")
    statuses = [submit(ann, "/account/tokens", name="x").status_code for _ in range(4)]
    assert statuses == [200, 200, 200, 409]


def test_default_maximum():
    """The maximum is 50 tokens."""
    assert models.MAX_TOKENS == 50


def test_tokens_are_paginated(client, app, alice):
    """The list of tokens has pages, by key, with links to the next page."""
    with app.app_context():
        user = User.by_username("alice")
        for number in range(60):
            ApiToken.issue(user, f"token {number}")
        db.session.commit()
    first = client.get(TOKENS, headers=alice)
    assert [len(first.json["tokens"]), first.json["tokens"][0]["name"]] == [50, "token 59"]
    assert 'rel="next"' in first.headers["Link"]
    second = client.get(TOKENS, query_string={"before": first.json["older"]}, headers=alice).json
    assert [token["name"] for token in second["tokens"]][-1] == "tests"
    assert (len(second["tokens"]), second["older"]) == (11, None)
    assert len(client.get(TOKENS, query_string={"limit": 2}, headers=alice).json["tokens"]) == 2


def test_form_creates_a_token_with_scope_and_end(app, log_in_as):
    """The form offers the scope and the lifetime, and the list shows both."""
    ann = log_in_as("ann")
    page = submit(ann, "/account/tokens", name="reader", scope="read", days="30").text
    assert "Read only" in page and "expires" in page
    with app.app_context():
        token = db.session.query(ApiToken).one()
        assert token.scope == "read"
        assert abs(token.expires_at - utc_now() - timedelta(days=30)) < timedelta(minutes=1)
    assert submit(ann, "/account/tokens", name="x", scope="admin").status_code == 422
