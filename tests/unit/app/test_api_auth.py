"""Authentication of API requests: tokens, passwords, and the session with its CSRF token."""

import pytest
from sqlalchemy import update

from app.account.models import LOCK_DURATION, ApiToken, User
from app.database import db, utc_now
from tests.unit.app.helpers import PASSWORD, csrf_token, log_in

ME, POSTS, TOKENS = "/api/v1/me", "/api/v1/posts", "/api/v1/tokens"
ALICE = ("alice", PASSWORD)


def test_anonymous_requests_are_401(client):
    """A 401 is JSON with WWW-Authenticate: Bearer. With Basic, browsers would prompt for the password."""
    response = client.get(ME)
    assert (response.status_code, response.json["error"]) == (401, "Unauthorized")
    assert response.headers["WWW-Authenticate"] == "Bearer realm=Tripod"


@pytest.mark.parametrize("name", ["alice", "alice@example.com", " Alice@Example.COM"])
def test_basic_authentication(client, alice, name):
    """HTTP Basic accepts the username or the email address, and the password."""
    assert client.get(ME, auth=(name, PASSWORD)).json["username"] == "alice"


@pytest.mark.parametrize(
    "value",
    ["Bearer", "Bearer x", "Bearer tripod_\xff", "Basic", "Basic !", "Basic YWxpY2U6eA==", "Basic AAA6AAA=", "Digest"],
)
@pytest.mark.parametrize("path", [ME, POSTS])
def test_invalid_credentials(client, alice, value, path):
    """Wrong or malformed credentials are 401, even for public resources."""
    assert client.get(path, headers={"Authorization": value}).status_code == 401


@pytest.mark.parametrize("more", [{"active": False}, {"confirmed_at": None}], ids=["closed", "unconfirmed"])
def test_closed_and_unconfirmed_accounts(client, add_api_user, more):
    """Closed and unconfirmed accounts are rejected, even with the correct password."""
    headers = add_api_user("carol", **more)
    assert client.get(ME, auth=("carol", PASSWORD)).status_code == 401
    if "active" in more:
        assert client.get(ME, headers=headers).status_code == 401


def test_locked_accounts(client, app, add_api_user):
    """While an account is locked, HTTP Basic is rejected even with the correct password. Then it is accepted again."""
    add_api_user("carol", locked_until=utc_now() + LOCK_DURATION)
    assert client.get(ME, auth=("carol", PASSWORD)).status_code == 401
    with app.app_context():
        User.by_username("carol").locked_until -= LOCK_DURATION
        db.session.commit()
    assert client.get(ME, auth=("carol", PASSWORD)).status_code == 200


def test_token_is_accepted_while_others_write(client, app, alice, monkeypatch):
    """A read that stores the time of a token's use succeeds, even if another transaction has written in between."""
    find = ApiToken.find

    def find_and_be_overtaken(plain_text):
        token = find(plain_text)
        with db.engine.begin() as other:
            other.execute(update(User).values(login_count=7))
        return token

    monkeypatch.setattr(ApiToken, "find", find_and_be_overtaken)
    assert client.get(ME, headers=alice).status_code == 200
    with app.app_context():
        token = db.session.query(ApiToken).one()
        assert token.last_used_at is not None
        assert token.user.login_count == 7


def test_token_lifecycle(client, alice):
    """A token is shown once, listed without its plain text, authenticates requests, and is revoked immediately."""
    made = client.post(TOKENS, json={"name": "backup"}, auth=ALICE)
    assert made.status_code == 201
    headers = {"Authorization": f"Bearer {made.json['token']}"}
    assert client.get(ME, headers=headers).json["username"] == "alice"
    listed = client.get(TOKENS, headers=alice).json["tokens"]
    assert [token["name"] for token in listed] == ["backup", "tests"]
    assert listed[0]["last_used_at"] and "token" not in listed[0]
    assert client.get(made.location, headers=alice).json == listed[0]
    assert client.delete(made.location, headers=headers).status_code == 204
    assert client.get(ME, headers=headers).status_code == 401


def test_tokens_of_other_users(client, alice, bob):
    """Reading or revoking another user's token is 404."""
    location = client.post(TOKENS, json={"name": "mine"}, auth=ALICE).location
    assert client.get(location, headers=bob).status_code == 404
    assert client.delete(location, headers=bob).status_code == 404
    assert client.get(location, headers=alice).status_code == 200


def test_token_names_are_unique(client, app, alice):
    """A second token with the same name is 409, so a retried request creates no second token."""
    assert client.post(TOKENS, json={"name": "x"}, auth=ALICE).status_code == 201
    assert client.post(TOKENS, json={"name": "x"}, auth=ALICE).status_code == 409
    with app.app_context():
        assert db.session.query(ApiToken).filter_by(name="x").count() == 1


@pytest.mark.parametrize("name", ["", "x" * 81, "nul \0", None, 1])
def test_invalid_token_name(client, alice, name):
    """A name has 1 to 80 characters, without control characters. Otherwise the response is 422."""
    response = client.post(TOKENS, json={"name": name}, headers=alice)
    assert (response.status_code, list(response.json["fields"])) == (422, ["name"])


# --- the session ------------------------------------------------------------------------------------------------------


@pytest.fixture
def browser(client, alice):
    """Return a client with a session, and the CSRF token of the session."""
    assert log_in(client, "alice@example.com").status_code == 302
    return client, csrf_token(client, "/account/tokens")


def test_session_authenticates_reads(browser):
    """The session cookie of the pages authenticates API requests."""
    assert browser[0].get(ME).json["username"] == "alice"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", POSTS),
        ("POST", TOKENS),
        ("PATCH", f"{POSTS}/1"),
        ("DELETE", f"{POSTS}/1"),
        ("DELETE", f"{TOKENS}/1"),
        ("PUT", "/api/v1/users/bob/follow"),
    ],
)
def test_session_writes_require_the_csrf_token(browser, bob, method, path):
    """A write with the session cookie is 400 without a valid X-CSRFToken (cross-site request forgery)."""
    client, token = browser
    client.post(POSTS, json={"body": "one"}, headers={"X-CSRFToken": token})
    json = {"body": "x"} if "posts" in path else {"name": "x"}
    for headers in ({}, {"X-CSRFToken": "x"}):
        refused = client.open(path, method=method, json=json, headers=headers)
        assert refused.status_code == 400
        assert "CSRF" in refused.json["error"]
    assert client.open(path, method=method, json=json, headers={"X-CSRFToken": token}).status_code < 300


def test_token_writes_require_no_csrf_token(browser, bob):
    """If a request has an Authorization header, its cookies are ignored."""
    written = browser[0].post(POSTS, json={"body": "x"}, headers=bob)
    assert (written.status_code, written.json["author"]) == (201, "bob")


def test_wrong_passwords_lock_the_account(client, app, alice, monkeypatch):
    """Wrong passwords with HTTP Basic count as failed logins. Tokens stay valid."""
    monkeypatch.setattr("app.account.models.MAX_FAILED_LOGINS", 10)
    for _ in range(10):
        assert client.get(ME, auth=("alice", "wrong")).status_code == 401
    with app.app_context():
        assert User.by_username("alice").locked
    assert client.get(ME, headers=alice).status_code == 200
