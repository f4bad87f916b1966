"""Sessions on the server: they end at the logout, can be listed and ended, and expire."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from app.account import sessions
from app.account.models import LoginSession, User
from app.database import db, utc_now
from tests.unit.app.helpers import PASSWORD, csrf_token, log_in, messages, submit

ANN = "ann@example.com"


def is_logged_in(client) -> bool:
    return client.get("/account").status_code == 200


@pytest.fixture
def copy(app):
    """Return a function that returns a client with a copy of the session cookie, as a thief has it."""

    def copy_cookie(client):
        thief = app.test_client()
        thief.set_cookie("session", client.get_cookie("session").value)
        return thief

    return copy_cookie


@pytest.fixture
def age(app):
    """Return a function that moves the times of all sessions into the past."""

    def move(**columns: timedelta) -> None:
        with app.app_context():
            for login_session in db.session.scalars(select(LoginSession)):
                for name, duration in columns.items():
                    setattr(login_session, name, getattr(login_session, name) - duration)
            db.session.commit()

    return move


def test_logout_ends_copies_of_the_session(log_in_as, copy):
    """After the logout, a copy of the session cookie is worthless: the session ended on the server."""
    ann = log_in_as("ann")
    thief = copy(ann)
    assert is_logged_in(thief)
    submit(ann, "/logout", "/account")
    assert not is_logged_in(thief)
    assert thief.get("/api/v1/me").status_code == 401


def test_logout_keeps_other_sessions(app, log_in_as):
    """A logout ends the session of one browser only."""
    ann, other = log_in_as("ann"), app.test_client()
    log_in(other, ANN)
    submit(ann, "/logout", "/account")
    assert is_logged_in(other)


@pytest.mark.parametrize(
    ("column", "setting"), [("created_at", "PERMANENT_SESSION_LIFETIME"), ("last_seen_at", "SESSION_IDLE_TIMEOUT")]
)
def test_sessions_expire(app, log_in_as, age, column, setting):
    """A session ends SESSION_LIFETIME after the login, and SESSION_IDLE_TIMEOUT after its last request."""
    ann = log_in_as("ann")
    age(**{column: app.config[setting] - timedelta(minutes=2)})
    with app.app_context():
        assert sessions.list_for(User.by_username("ann"))
    age(**{column: timedelta(minutes=3)})
    assert not is_logged_in(ann)


def test_requests_keep_a_session_alive(app, log_in_as, age):
    """A request starts the idle time again. It does not extend the lifetime."""
    ann = log_in_as("ann")
    for _ in range(3):
        age(last_seen_at=app.config["SESSION_IDLE_TIMEOUT"] - timedelta(minutes=5))
        assert is_logged_in(ann)
    age(created_at=app.config["PERMANENT_SESSION_LIFETIME"])
    assert not is_logged_in(ann)


def test_reads_within_a_minute_do_not_write(app, log_in_as):
    """The time of the last request is stored with an accuracy of a minute, so that most reads write nothing."""
    ann = log_in_as("ann")
    with app.app_context():
        before = db.session.scalar(select(LoginSession.last_seen_at))
    assert is_logged_in(ann)
    with app.app_context():
        assert db.session.scalar(select(LoginSession.last_seen_at)) == before


def test_sessions_are_listed(app, log_in_as):
    """The page lists the sessions of the user with their browsers. Sessions of other users are not on it."""
    ann, other, bob = log_in_as("ann"), app.test_client(), log_in_as("bob")
    page = other.get("/login", headers={"User-Agent": "Phone <b>"})
    token = page.text.split('name="csrf_token"')[1].split('value="')[1].split('"')[0]
    form = {"csrf_token": token, "email": ANN, "password": PASSWORD}
    other.post("/login", data=form, headers={"User-Agent": "Phone <b>"})
    text = ann.get("/account/sessions").text
    assert text.count("last seen") == 2
    assert "Phone &lt;b&gt;" in text
    assert bob.get("/account/sessions").text.count("last seen") == 1


def test_one_session_is_ended(app, log_in_as):
    """A user can end one of their sessions. For other users it does not exist."""
    ann, other, bob = log_in_as("ann"), app.test_client(), log_in_as("bob")
    log_in(other, ANN)
    with other.session_transaction() as session:
        path = f"/account/sessions/{session[sessions.KEY]}/end"
    assert submit(bob, path, "/account/sessions").status_code == 404
    assert is_logged_in(other)
    assert submit(ann, path, "/account/sessions").location == "/account/sessions"
    assert not is_logged_in(other)
    assert is_logged_in(ann)


def test_ending_the_own_session_logs_out(log_in_as, copy):
    """Ending the session that one uses is a logout."""
    ann = log_in_as("ann")
    thief = copy(ann)
    with ann.session_transaction() as session:
        path = f"/account/sessions/{session[sessions.KEY]}/end"
    assert submit(ann, path, "/account/sessions").location == "/"
    assert not is_logged_in(ann) and not is_logged_in(thief)


def test_all_other_sessions_are_ended(app, log_in_as):
    """One button ends all other sessions, and the device cookies of other browsers. The current session continues."""
    ann, other = log_in_as("ann"), app.test_client()
    log_in(other, ANN)
    submit(ann, "/account/sessions/end-others", "/account/sessions")
    assert is_logged_in(ann) and not is_logged_in(other)
    with app.app_context():
        User.by_username("ann").locked_until = utc_now() + timedelta(minutes=10)
        db.session.commit()
    submit(ann, "/logout", "/account")
    assert log_in(other, ANN).location is None
    assert log_in(ann, ANN).location == "/"


def test_sessions_of_a_user_are_bounded(app, add_user, monkeypatch):
    """A login ends the oldest sessions beyond the maximum."""
    monkeypatch.setattr(sessions, "MAX_SESSIONS", 3)
    add_user("ann")
    browsers = [app.test_client() for _ in range(5)]
    for browser in browsers:
        log_in(browser, ANN)
    assert [is_logged_in(browser) for browser in browsers] == [False, False, True, True, True]


def test_session_cookie_of_the_previous_release(app, log_in_as):
    """A session cookie without an id of a session on the server is not authenticated."""
    ann = log_in_as("ann")
    with ann.session_transaction() as session:
        del session[sessions.KEY]
    assert not is_logged_in(ann)


def test_password_change_ends_sessions_and_device_cookies(app, log_in_as, copy):
    """A password change ends all other sessions on the server, and makes device cookies of other browsers invalid."""
    ann, other = log_in_as("ann"), app.test_client()
    thief = copy(ann)
    log_in(other, ANN)
    fields = {"password": PASSWORD, "new_password": "a new horse", "new_password_confirm": "a new horse"}
    assert submit(ann, "/change", **fields).location == "/account"
    assert is_logged_in(ann) and not is_logged_in(other) and not is_logged_in(thief)
    with app.app_context():
        assert db.session.query(LoginSession).count() == 1
        User.by_username("ann").locked_until = utc_now() + timedelta(minutes=10)
        db.session.commit()
    assert log_in(other, ANN, "a new horse").location is None


# --- the password is asked for again ----------------------------------------------------------------------------------


def test_tokens_require_a_recent_password(app, log_in_as):
    """15 minutes after the password was entered, the token page asks for it again, and only then continues."""
    ann = log_in_as("ann")
    assert ann.get("/account/tokens").status_code == 200
    with ann.session_transaction() as session:
        session["fs_paa"] -= 16 * 60
    token = csrf_token(ann, "/account")
    refused = ann.post("/account/tokens", data={"csrf_token": token, "name": "x"})
    assert refused.location.startswith("/verify?next=")
    api = {"json": {"name": "x"}, "headers": {"X-CSRFToken": token}}
    assert ann.post("/api/v1/tokens", **api).status_code == 403
    assert ann.get("/api/v1/tokens").json["tokens"] == []
    page = submit(ann, "/verify?next=/account/tokens", password="wrong")
    assert messages(page)[-1:] == ["The password is wrong."]
    assert ann.get("/account/tokens").status_code == 302
    assert submit(ann, "/verify?next=/account/tokens", password=PASSWORD).location == "/account/tokens"
    assert ann.get("/account/tokens").status_code == 200
    assert ann.post("/api/v1/tokens", **api).status_code == 201


def test_guesses_at_the_own_password_are_limited(app, log_in_as):
    """With a stolen session, the page that asks for the password again accepts ten guesses a minute, and locks."""
    ann = log_in_as("ann")
    statuses = [submit(ann, "/verify", password="wrong").status_code for _ in range(11)]
    assert statuses == [200] * 10 + [429]
    app.config["RATE_LIMITS"] = False
    for _ in range(10):
        submit(ann, "/verify", password="wrong")
    ann.delete_cookie("device")
    assert "password is wrong" in submit(ann, "/verify", password=PASSWORD).text


# --- cookies and caches -----------------------------------------------------------------------------------------------


def test_cookies_have_the_host_prefix_over_https(app, add_user):
    """Over HTTPS, the cookies have the prefix __Host- and its attributes. A cookie without the prefix is ignored."""
    add_user("ann")
    client, options = app.test_client(), {"base_url": "https://localhost"}
    form = {"csrf_token": csrf_token(client, "/login", **options), "email": ANN, "password": PASSWORD}
    answer = client.post("/login", data=form, headers={"Referer": "https://localhost/login"}, **options)
    cookies = {cookie.partition("=")[0]: cookie for cookie in answer.headers.getlist("Set-Cookie")}
    assert set(cookies) == {"__Host-session", "__Host-device"}
    for cookie in cookies.values():
        assert "; Secure" in cookie and "; Path=/" in cookie and "Domain" not in cookie
    assert client.get("/account", **options).status_code == 200
    thief = app.test_client()
    thief.set_cookie("session", client.get_cookie("__Host-session").value, secure=True)
    assert thief.get("/account", **options).status_code == 302


@pytest.mark.parametrize(
    "path", ["/account", "/account/sessions", "/account/tokens", "/account/deactivate", "/change", "/admin"]
)
def test_account_data_is_not_stored(log_in_as, path):
    """Pages with account data or secrets are `no-store`: a browser does not show them after the logout."""
    assert "no-store" in log_in_as("ann", admin=True).get(path).headers["Cache-Control"]


@pytest.mark.parametrize("path", ["/api/v1/me", "/api/v1/tokens", "/api/v1/tokens/1"])
def test_account_data_of_the_api_is_not_stored(client, alice, path):
    """Responses of the API with account data are `no-store`."""
    assert "no-store" in client.get(path, headers=alice).headers["Cache-Control"]


# --- rotation of the key ----------------------------------------------------------------------------------------------


def test_sessions_survive_a_rotation_of_the_key(make_app, database, add_user, mails):
    """With the former key in SECRET_KEY_FALLBACKS, sessions, forms, links and device cookies stay valid.

    New signatures have the new key alone, so that they stay valid when the former key is removed.
    """
    add_user("ann")
    old = make_app(database, SECRET_KEY="the former key")
    browser = old.test_client()
    log_in(browser, ANN)
    form = csrf_token(browser, "/")
    submit(browser, "/reset", email=ANN)
    (mail,) = mails()
    link = mail.get_content().split("http://localhost")[1].split()[0]
    cookies = {name: browser.get_cookie(name).value for name in ("session", "device")}

    def client_of(app):
        client = app.test_client()
        for name, value in cookies.items():
            client.set_cookie(name, value)
        return client

    both = client_of(make_app(database, SECRET_KEY="the new key", SECRET_KEY_FALLBACKS=["the former key"]))
    assert is_logged_in(both)
    assert both.post("/", data={"csrf_token": form, "body": "x"}).status_code == 303
    assert both.get(link).status_code == 200
    submit(both, "/reset", email=ANN)
    new_link = mails()[-1].get_content().split("http://localhost")[1].split()[0]
    cookies["session"] = both.get_cookie("session").value

    new = client_of(make_app(database, SECRET_KEY="the new key"))
    assert is_logged_in(new)
    assert new.get(new_link).status_code == 200
    assert new.get(link).location == "/reset"
