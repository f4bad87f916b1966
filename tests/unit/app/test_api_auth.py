"""Who asks the API: tokens, passwords, and the session with its CSRF token."""

import pytest

from app.account.models import ApiToken, User
from app.database import db
from tests.unit.app.web import PASSWORD, csrf_token, log_in

ME, POSTS, TOKENS = "/api/v1/me", "/api/v1/posts", "/api/v1/tokens"


def test_strangers_are_asked_who_they_are(client):
    """401 comes with WWW-Authenticate, as JSON; it asks for a token, lest a browser asks for the password."""
    response = client.get(ME)
    assert (response.status_code, response.json["error"]) == (401, "Unauthorized")
    assert response.headers["WWW-Authenticate"] == "Bearer realm=Tripod"


@pytest.mark.parametrize("name", ["alice", "alice@example.com", " Alice@Example.COM"])
def test_a_password_opens_the_api(client, alice, name):
    """HTTP Basic takes the username or the email, with the password."""
    assert client.get(ME, auth=(name, PASSWORD)).json["username"] == "alice"


@pytest.mark.parametrize(
    "value",
    ["Bearer", "Bearer x", "Bearer tripod_\xff", "Basic", "Basic !", "Basic YWxpY2U6eA==", "Basic AAA6AAA=", "Digest"],
)
@pytest.mark.parametrize("path", [ME, POSTS])
def test_bad_credentials_are_refused(client, alice, value, path):
    """Credentials that are wrong or malformed are 401, even where none are needed."""
    assert client.get(path, headers={"Authorization": value}).status_code == 401


@pytest.mark.parametrize("more", [{"active": False}, {"confirmed_at": None}], ids=["closed", "unconfirmed"])
def test_an_account_that_is_not_in_use_opens_nothing(client, join, more):
    """An account that is closed, or whose email is not confirmed, is refused with the right password."""
    headers = join("carol", **more)
    assert client.get(ME, auth=("carol", PASSWORD)).status_code == 401
    if "active" in more:
        assert client.get(ME, headers=headers).status_code == 401


def test_the_life_of_a_token(client, alice):
    """A token is made and shown once, listed without its text, opens the API, and is revoked at once."""
    made = client.post(TOKENS, json={"name": "backup"}, headers=alice)
    assert made.status_code == 201
    headers = {"Authorization": f"Bearer {made.json['token']}"}
    assert client.get(ME, headers=headers).json["username"] == "alice"
    listed = client.get(TOKENS, headers=alice).json["tokens"]
    assert [token["name"] for token in listed] == ["backup", "tests"]
    assert listed[0]["last_used_at"] and "token" not in listed[0]
    assert client.get(made.location, headers=alice).json == listed[0]
    assert client.delete(made.location, headers=headers).status_code == 204
    assert client.get(ME, headers=headers).status_code == 401


def test_tokens_are_their_owners(client, alice, bob):
    """Somebody else's token is 404, to read and to revoke."""
    location = client.post(TOKENS, json={"name": "mine"}, headers=alice).location
    assert client.get(location, headers=bob).status_code == 404
    assert client.delete(location, headers=bob).status_code == 404
    assert client.get(location, headers=alice).status_code == 200


def test_a_name_of_a_token_is_used_once(client, app, alice):
    """A second token of the same name is 409, so that a request sent twice makes one token."""
    assert client.post(TOKENS, json={"name": "x"}, headers=alice).status_code == 201
    assert client.post(TOKENS, json={"name": "x"}, headers=alice).status_code == 409
    with app.app_context():
        assert db.session.query(ApiToken).filter_by(name="x").count() == 1


@pytest.mark.parametrize("name", ["", "x" * 81, "nul \0", None, 1])
def test_a_bad_name_of_a_token_is_named(client, alice, name):
    """A name is 1 to 80 plain characters: else 422."""
    response = client.post(TOKENS, json={"name": name}, headers=alice)
    assert (response.status_code, list(response.json["fields"])) == (422, ["name"])


# --- the session ------------------------------------------------------------------------------------------------------


@pytest.fixture
def browser(client, alice):
    """Return a client that has logged in by the form, and the CSRF token of its session."""
    assert log_in(client, "alice@example.com").status_code == 302
    return client, csrf_token(client, "/account/tokens")


def test_the_session_reads(browser):
    """Who is logged in on the pages is known to the API."""
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
def test_the_session_writes_with_its_csrf_token_alone(browser, bob, method, path):
    """A write by cookie is 400 without X-CSRFToken or with another one: another site's page could have sent it."""
    client, token = browser
    client.post(POSTS, json={"body": "one"}, headers={"X-CSRFToken": token})
    json = {"body": "x"} if "posts" in path else {"name": "x"}
    for headers in ({}, {"X-CSRFToken": "x"}):
        refused = client.open(path, method=method, json=json, headers=headers)
        assert refused.status_code == 400
        assert "CSRF" in refused.json["error"]
    assert client.open(path, method=method, json=json, headers={"X-CSRFToken": token}).status_code < 300


def test_a_token_needs_no_csrf_token(browser, bob):
    """A request with an Authorization header is judged by that alone, whatever cookies come with it."""
    written = browser[0].post(POSTS, json={"body": "x"}, headers=bob)
    assert (written.status_code, written.json["author"]) == (201, "bob")


def test_wrong_passwords_lock_the_api_as_well(client, app, alice, monkeypatch):
    """Wrong passwords by HTTP Basic count like those at the log-in; a token is no guess, and stays good."""
    monkeypatch.setattr("app.account.models.FAILED_LOGINS_MAX", 10)
    for _ in range(10):
        assert client.get(ME, auth=("alice", "wrong")).status_code == 401
    with app.app_context():
        assert User.named("alice").locked
    assert client.get(ME, headers=alice).status_code == 200
